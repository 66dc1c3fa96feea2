"""A Flask application that always answers the same, on our worker: what the transport costs by itself.

`python -m bench.constant`, with the settings of `plimsoll serve` in the environment.
"""

from __future__ import annotations

import sys
from typing import Any

from flask import Flask, Response, request

from bench.bodies import UID
from webhook import serving
from webhook.web import app as web

ANSWER = (
    '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"' + UID + '","allowed":true}}'
).encode()


def constant(*_: Any) -> Flask:
    """Return the application, as anybody writes it: it reads the body, looks at nothing and says yes."""
    app = Flask("constant")

    @app.post("/validate")
    def validate() -> Response:
        request.get_data()
        return Response(ANSWER, mimetype="application/json")

    return app


if __name__ == "__main__":
    # everything else is the server itself: its worker, its health process, its look at the packs
    web.create_app = constant
    sys.exit(serving.serve({}))
