"""The Flask application."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Flask, Response, request
from flask.sessions import SessionInterface
from werkzeug.exceptions import HTTPException

from webhook.web.admission import ENDPOINTS, Decider, Limits, admit, refuse

LIMITS = Limits()


class _NoSession(SessionInterface):
    """There are no sessions; Flask would look for a cookie in every request."""

    def open_session(self, app: Flask, request: Any) -> None:
        """Return nothing, for every request."""

    def make_null_session(self, app: Flask) -> Any:
        """Return an empty mapping that nobody writes to."""
        return {}

    def is_null_session(self, obj: object) -> bool:
        """Say that there is nothing to save."""
        return True


def create_app(service: Decider, limits: Limits = LIMITS) -> Flask:
    """Return the application that answers POST /mutate, /validate and /advise from `service`.

    Answers other than reviews are one sentence of plain text.
    """
    app = Flask("webhook", static_folder=None)
    app.session_interface = _NoSession()
    for endpoint in ENDPOINTS:
        app.add_url_rule(f"/{endpoint}", endpoint, partial(_view, service, endpoint, limits), methods=["POST"])
    app.register_error_handler(HTTPException, _explain)
    return app


def _view(service: Decider, endpoint: str, limits: Limits) -> Response:
    return admit(service, endpoint, request, limits)


def _explain(error: HTTPException) -> Response:
    sentences = {
        404: "there is only /mutate, /validate and /advise here",
        405: "an AdmissionReview comes by POST",
    }
    status = error.code or 500
    answer = refuse(status, sentences.get(status, error.name))
    for name, value in error.get_headers():
        if name == "Allow":
            answer.headers[name] = value
    return answer
