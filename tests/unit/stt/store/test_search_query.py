"""What counts as a word that is searched for."""

import pytest

from stt.store.search_query import MAX_QUERY_CHARACTERS, BadQuery, SearchQuery


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("coffee", ("coffee",)),
        ("  two\twords\n", ("two", "words")),
        ('"quoted phrase"', ("quoted", "phrase")),
        ("Hello, world!", ("Hello", "world")),
        ("again again", ("again",)),
        ("don't e-mail 3.5", ("don't", "e-mail", "3.5")),
        ("trans* — (c)", ("trans*", "c")),
        ("naïve Straße", ("naïve", "Straße")),
        ("nai\u0308ve", ("naïve",)),
        ("a\x00b \ud800c", ("a", "b", "c")),
        ("हिन्दी", ("हिन्दी",)),
        (".* $where [a", ("where", "a")),
    ],
)
def test_words_stand_between_spaces_without_the_signs_around_them(
    query: str, words: tuple[str, ...]
) -> None:
    assert SearchQuery(query).words == words


@pytest.mark.parametrize("query", ["", "   ", "*", "?! — …", '""', "\x00", "\ud800"])
def test_a_query_without_a_word_is_refused(query: str) -> None:
    with pytest.raises(BadQuery, match="no word"):
        SearchQuery(query)


def test_a_query_has_its_bounds() -> None:
    assert len(SearchQuery(" ".join("abcdefghij")).words) == 10
    with pytest.raises(BadQuery, match="at most 10"):
        SearchQuery(" ".join("abcdefghijk"))
    assert SearchQuery("x" * MAX_QUERY_CHARACTERS).words
    with pytest.raises(BadQuery, match="at most 200"):
        SearchQuery("x" * (MAX_QUERY_CHARACTERS + 1))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("coffee", "Coffee?"),
        ("COFFEE", "more coffee"),
        ("über", "ÜBER ALLES"),
        ("c.t", "a c.t"),
        ("trans*", "The Transcript"),
        ("会議", "次の会議は"),
        ("don't", "I DON'T know"),
    ],
)
def test_a_word_is_found_whole_and_in_any_case(query: str, text: str) -> None:
    assert SearchQuery(query).segments_in([text]) == [0]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("offe", "coffee"),
        ("coffe", "coffee"),
        ("naive", "naïve"),
        ("c.t", "cat"),
        ("trans*", "intransitive"),
    ],
)
def test_a_part_of_a_word_or_another_letter_is_not_it(query: str, text: str) -> None:
    assert SearchQuery(query).segments_in([text]) == []


def test_segments_have_one_word_each_if_together_they_have_all() -> None:
    words = SearchQuery("coffee budget")
    assert words.segments_in(["a budget", "nothing", "for coffee", "coffee"]) == [0, 2, 3]
    assert words.segments_in(["a budget", "nothing"]) == []


def test_what_a_text_index_knows_are_whole_words_with_spaces_between() -> None:
    assert SearchQuery("coffee budget").are_indexed
    assert not SearchQuery("coff*").are_indexed
    assert not SearchQuery("coffee 会議").are_indexed
