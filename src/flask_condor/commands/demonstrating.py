"""``flask events demo``: the dashboard with an hour of plausible events, without an app of one's own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import click

HOST = "127.0.0.1"


@click.command("demo")
@click.option("--port", type=click.IntRange(0, 65535), default=5555, show_default=True, help="0 takes a free one.")
def demo(port: int) -> None:
    """Open the dashboard of a made-up shop.

    It holds an hour of events: chains, failures, retries, delays. The shop and its database are temporary, and the app
    of this folder is left alone. Its jobs really run: retry, replay and cancel as you like. Ctrl-C ends it.
    """
    from werkzeug.serving import make_server

    from ..demo.app import create_demo
    from ..serving import start_worker

    with TemporaryDirectory(prefix="condor-demo-") as folder:
        app = create_demo(Path(folder))
        server = make_server(HOST, port, app, threaded=True)
        start_worker(app.extensions["condor"])
        url = f"http://{HOST}:{server.server_port}{app.extensions['condor'].config.dashboard_url}/"
        click.echo(f"The demo's dashboard is at {url} Ctrl-C ends it.")
        click.launch(url)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
