"""Optional: what other programs are told of an app, by OpenTelemetry and Prometheus; nothing imports it by itself."""
