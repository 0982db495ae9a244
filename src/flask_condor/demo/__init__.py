"""The demo: a small shop with an hour of history, to look at the dashboard without an app of one's own."""
