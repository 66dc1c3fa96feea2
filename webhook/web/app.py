"""The Flask application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from webhook.web.admission import ENDPOINTS, PACKS, Answer, Decider, Limits, Vetter, admit, deciding, refuse, vetting

LIMITS = Limits()
_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
Admit = Callable[[Mapping[str, Any]], Answer]


class App(Flask):
    """Flask, with a short way for what is nearly all traffic: a POST to an endpoint that is there.

    A review needs none of what Flask makes for a request (contexts, a session, a matched URL, objects for request
    and response), which together cost more than judging does. Everything else, and everything once somebody has
    registered a hook, goes Flask's own way, which has the same views.
    """

    def __init__(self) -> None:
        """Make an application without endpoints."""
        super().__init__("webhook", static_folder=None)
        self._admits: dict[str, Admit] = {}

    def add_endpoint(self, name: str, admit: Admit) -> None:
        """Answer POST /`name` by `admit`, whichever way it comes."""
        self._admits[f"/{name}"] = admit
        self.add_url_rule(f"/{name}", name, lambda: _response(admit(request.environ)), methods=["POST"])

    def wsgi_app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        admit = self._admits.get(environ["PATH_INFO"])
        if admit is None or environ["REQUEST_METHOD"] != "POST" or self._hooked():
            return super().wsgi_app(environ, start_response)
        answer = admit(environ)
        headers = [("Content-Type", answer.type), ("Content-Length", str(len(answer.body)))]
        start_response(_STATUS[answer.status], headers)
        return (answer.body,)

    def _hooked(self) -> bool:
        return bool(
            self.before_request_funcs
            or self.after_request_funcs
            or self.teardown_request_funcs
            or self.teardown_appcontext_funcs
        )


def create_app(service: Decider, limits: Limits = LIMITS, vetter: Vetter | None = None) -> Flask:
    """Return the application that answers POST /mutate, /validate and /advise from `service`, /packs from `vetter`.

    Answers other than reviews are one sentence of plain text.
    """
    app = App()
    for endpoint in ENDPOINTS:
        app.add_endpoint(endpoint, partial(admit, deciding(service, endpoint), endpoint, limits))
    if vetter is not None:
        app.add_endpoint(PACKS, partial(admit, vetting(vetter), PACKS, limits))
    app.register_error_handler(HTTPException, _explain)
    return app


def _response(answer: Answer) -> Response:
    return Response(answer.body, status=answer.status, content_type=answer.type)


def _explain(error: HTTPException) -> Response:
    sentences = {
        404: "there is only /mutate, /validate, /advise and /packs here",
        405: "an AdmissionReview comes by POST",
    }
    status = error.code or 500
    answer = _response(refuse(status, sentences.get(status, error.name)))
    for name, value in error.get_headers():
        if name == "Allow":
            answer.headers[name] = value
    return answer
