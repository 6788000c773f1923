"""`tieout serve`: Prefect server (if none answers) and worker, together until stopped."""

from __future__ import annotations

import time

from deployments.config import Config
from deployments.registration import full_name
from deployments.server import (
    answers,
    ended_by_signals,
    start_server,
    start_worker,
    stop,
    ui_url,
    wait_until_it_answers,
)


def serve_forever(config: Config) -> None:
    """Run until Ctrl-C or SIGTERM; whatever was started here is stopped then, and nothing else."""
    pool = full_name(config.prefect.name, "tieout")
    started = []
    with ended_by_signals():
        try:
            if answers():
                print(f"A Prefect server answers already: {ui_url()}")
            else:
                server = start_server()
                started.append(server)
                wait_until_it_answers(server, say=print)
                print(f"Prefect server: {ui_url()}")
            worker = start_worker(pool)
            started.append(worker)
            print(f"Worker on pool {pool!r}. Next, once: `tieout setup`. Stop with Ctrl-C.")
            while all(process.poll() is None for process in started):
                time.sleep(1)
            print("The server or the worker has ended; stopping the other.")
            raise SystemExit(1)
        except KeyboardInterrupt:
            print("Stopping.")
        finally:
            for process in reversed(started):
                stop(process)
