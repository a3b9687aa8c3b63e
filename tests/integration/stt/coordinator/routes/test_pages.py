"""The pages: one shell for all of them, and files that only a session may read."""

import re

import pytest

from tests.support.coordinator_app import CoordinatorThread, KeyedSession, logged_in


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/upload",
        "/recordings",
        "/recordings/x",
        "/search",
        "/fleet",
        "/nodes",
        "/quarantine",
        "/settings",
    ],
)
def test_every_page_is_the_same_shell(person: KeyedSession, path: str) -> None:
    page = person.get(path)
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.text == person.get("/").text
    assert person.head(path).status_code == 200


def test_an_address_where_nothing_is_is_a_page_for_a_browser_and_json_for_a_program(
    coordinator: CoordinatorThread,
) -> None:
    with logged_in(coordinator) as browser:
        for path in ("/nonsense", "/results/000000000000000000000000"):
            page = browser.get(path, headers={"Accept": "text/html"})
            assert (page.status_code, page.text) == (404, browser.get("/").text)
            answer = browser.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_every_file_that_the_shell_names_is_there(coordinator: CoordinatorThread) -> None:
    with logged_in(coordinator) as browser:
        shell = browser.get("/").text
        files = re.findall(r'(?:src|href)="(/[^"#]+\.[a-z]+)"', shell)
        assert files
        for file in files:
            assert browser.get(file).status_code == 200, file


@pytest.mark.parametrize("path", ["/static/../context.py", "/static/%2e%2e/app.py", "/static/"])
def test_no_address_leaves_the_folder_of_the_pages(person: KeyedSession, path: str) -> None:
    answer = person.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_only_the_files_of_the_login_page_need_no_session(coordinator: CoordinatorThread) -> None:
    with coordinator.anonymous() as anonymous:
        page = anonymous.get("/login").text
        own = re.findall(r'(?:src|href)="(/login/[^"]+)"', page)
        assert own
        for file in own:
            assert anonymous.get(file).status_code == 200, file
        assert anonymous.get("/static/shell.html").status_code == 401
        assert anonymous.get("/login/../shell.html").status_code in (401, 404)
