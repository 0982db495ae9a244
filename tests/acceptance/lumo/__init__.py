"""The Lumo page's program: sign-ups and orders, whose events are worked on by a worker."""
