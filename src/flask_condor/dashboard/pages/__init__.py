"""The screens of the dashboard, a module each; what it shows, it reads elsewhere."""
