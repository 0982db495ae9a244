"""The tsc.run page's program: its subscribers stand in configuration, in `tsc-run.toml`."""
