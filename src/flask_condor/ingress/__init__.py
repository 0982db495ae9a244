"""The HTTP ingress: other systems post events to the app; what is answered with 2xx is stored."""
