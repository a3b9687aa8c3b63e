"""What a port is asked before a command takes its server for the embedded database."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pymongo
import pytest
from pymongo.errors import OperationFailure

from stt.local.data_folder import DataFolder
from stt.local.server_checks import answers, is_broken, reply, url_without_password
from stt.local.stack import open_database
from stt.settings import Settings
from tests.support.mongo_process import free_port


@pytest.fixture
def folder(settings: Settings) -> Iterator[DataFolder]:
    with open_database(settings):
        yield DataFolder(settings.data_dir)


def test_the_embedded_database_answers_with_its_password_alone(folder: DataFolder) -> None:
    port = folder.port()
    assert port is not None
    url = folder.url(port)
    assert url is not None
    assert answers(url)
    assert not answers(url.replace("stt:", "stt:x"))
    assert not is_broken(port)
    hello = reply(url_without_password(port), "hello")
    assert hello is not None
    assert hello["accessControlEnabled"]
    with pytest.raises(OperationFailure):
        reply(url_without_password(port), "serverStatus")


def test_a_database_that_does_not_know_the_password_is_another(
    mongo_url: str, folder: DataFolder
) -> None:
    url = folder.url(pymongo.uri_parser.parse_uri(mongo_url)["nodelist"][0][1])
    assert url is not None
    assert not answers(url)


def test_a_port_without_a_database_gives_no_reply() -> None:
    port = free_port()
    assert reply(url_without_password(port), "hello") is None
    web = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        assert reply(url_without_password(web.server_port), "hello") is None
        assert not answers(f"mongodb://stt:secret@127.0.0.1:{web.server_port}/?authSource=admin")
    finally:
        web.shutdown()
        web.server_close()
