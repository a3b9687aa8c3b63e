"""What counts as a word that is searched for, and where it is found."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    assert SearchQuery(" ".join("abcdefghi") + ' "j k l m n o p"').words
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
    assert found(query, text)


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
    assert not found(query, text)


def found(query: str, *texts: str) -> list[str]:
    """What is marked in the texts, in their order."""
    matches = SearchQuery(query).matches(texts)
    return [texts[i][start:end] for i, spans in matches.items() for start, end in spans]


def test_segments_have_one_word_each_if_together_they_have_all() -> None:
    words = SearchQuery("coffee budget")
    assert list(words.matches(["a budget", "nothing", "for coffee", "coffee"])) == [0, 2, 3]
    assert words.matches(["a budget", "nothing"]) == {}


def test_what_a_text_index_knows_are_whole_words_with_spaces_between() -> None:
    def are_whole(query: str) -> bool:
        return all(word.is_whole for word in SearchQuery(query).query_words)

    assert are_whole('coffee "the budget"')
    assert not are_whole("coff*")
    assert not are_whole("coffee 会議")
    assert not are_whole("coffee 회의")


@pytest.mark.parametrize(
    ("query", "texts", "marked"),
    [
        ('"meeting budget"', ["the Meeting Budget is"], ["Meeting Budget"]),
        ('"meeting budget"', ["meeting, budget"], ["meeting, budget"]),
        ('"meeting budget"', ["the budget of the meeting"], []),
        ('"meeting budget"', ["meeting the budget"], []),
        ('"meeting budget"', ["a meetingbudget"], []),
        ('"meeting budget"', ["meeting budgets"], []),
        ('"meeting budg*"', ["meeting budgets"], ["meeting budg"]),
        ('"meet* budget"', ["meetings budget"], ["meetings budget"]),
        ('"e mail"', ["an e-mail"], ["e-mail"]),
        ('"meeting budget"', ["the meeting.", "Budget first"], ["meeting", "Budget"]),
        ('"a b c"', ["say a", "b,", "c d"], ["a", "b", "c"]),
        ('"a b"', ["a", "x b"], []),
        ('"very very"', ["very very good", "very good"], ["very very"]),
        ('tea "meeting budget"', ["tea", "meeting budget"], ["tea", "meeting budget"]),
        ('tea "meeting budget"', ["tea", "budget meeting"], []),
        ("“meeting budget”", ["meeting budget"], ["meeting budget"]),
        ("„meeting budget“", ["budget meeting"], []),
        ("« meeting budget »", ["meeting budget"], ["meeting budget"]),
        ("「次の会議」", ["次の会議は"], ["次の会議"]),
        ('"次の 会議"', ["次の会議は"], ["次の会議"]),
        ('"meeting budget', ["meeting budget"], ["meeting budget"]),
        ('"meeting budget', ["budget meeting"], []),
        ('budget "meeting', ["budget for a meeting"], ["budget", "meeting"]),
    ],
)
def test_words_in_quotes_are_a_phrase(query: str, texts: list[str], marked: list[str]) -> None:
    assert found(query, *texts) == marked


@pytest.mark.parametrize("in_text", "'’‘ʼ´`′＇")
@pytest.mark.parametrize("in_query", "'’‘ʼ´`′＇")
def test_all_apostrophes_are_alike(in_query: str, in_text: str) -> None:
    text = f"c’est aujourd{in_text}hui"
    assert found(f"aujourd{in_query}hui", text) == [f"aujourd{in_text}hui"]
    assert found("hui", text) == ["hui"]
    assert found(f"{in_query}hui{in_query}", text) == ["hui"]


@pytest.mark.parametrize(
    ("query", "text", "marked"),
    [
        ("회의", "오늘 회의록을 보냈다", ["회의"]),
        ("회의", unicodedata.normalize("NFD", "회의록을"), [unicodedata.normalize("NFD", "회의")]),
        ("의록", "회의록을", []),
        ("KBS", "KBS는 방송", ["KBS"]),
        ('"회의 자료"', "회의 자료를", ["회의 자료"]),
        ('"회의 자료"', "회의록 자료를", []),
        ("სახლ", "სახლში", ["სახლ"]),
        ("வீடு", "வீடுகள்", ["வீடு"]),
        ("iPhone", "私のiPhoneを", ["iPhone"]),
        ("2020", "2020年に", ["2020"]),
        ("แมว", "ผมมีแมวสองตัว", ["แมว"]),
        ("ラーメン", "らーめんとラーメン屋", ["ラーメン"]),
        ("हिन्द", "हिन्दी", []),
        ("ev", "evim", []),
        ("ev*", "evim", ["ev"]),
    ],
)
def test_how_much_of_a_word_has_to_match_depends_on_the_script(
    query: str, text: str, marked: list[str]
) -> None:
    assert found(query, text) == marked


@pytest.mark.parametrize(
    ("query", "text", "marked"),
    [
        ("strasse", "die Straße", ["Straße"]),
        ("Straße", "STRASSE", ["STRASSE"]),
        ("stras*", "Straße", ["Straß"]),
        ("naïve", "nai\u0308ve!", ["nai\u0308ve"]),
        ("naive", "nai\u0308ve", []),
        ("nai*", "nai\u0308ve", []),
        ("x", "x\u0302", []),
        ("x*", "x\u0302y", []),
        ("istanbul", "İstanbul, ISTANBUL", ["İstanbul", "ISTANBUL"]),
        ("DİYARBAKIR", "Diyarbakır", ["Diyarbakır"]),
        ("abc 12", "ＡＢＣ １２", ["ＡＢＣ", "１２"]),
        ("ガイド", "ｶﾞｲﾄﾞ", ["ｶﾞｲﾄﾞ"]),
        ("coffee fine", "coﬀee ﬁne", ["coﬀee", "ﬁne"]),
        ("σοφος", "ΣΟΦΟΣ σοφος", ["ΣΟΦΟΣ", "σοφος"]),
        ("e-mail", "e‑mail", ["e‑mail"]),
        ('צה"ל', "של צה״ל", ["צה״ל"]),
        ('צה״ל', 'צה"ל', ['צה"ל']),
        ("🙂 budget", "🙂🙂 budget", ["budget"]),
    ],
)  # fmt: skip
def test_other_spellings_are_the_same_word(query: str, text: str, marked: list[str]) -> None:
    assert found(query, text) == marked


@given(st.text(max_size=50), st.lists(st.text(max_size=30), max_size=4))
def test_what_is_marked_lies_inside_of_the_texts(query: str, texts: list[str]) -> None:
    try:
        matches = SearchQuery(query).matches([query, *texts])
    except BadQuery:
        return
    for i, spans in matches.items():
        ends = [0, *(place for span in spans for place in span), len([query, *texts][i])]
        assert ends == sorted(ends)
        assert all(start < end for start, end in spans)


@given(st.text(alphabet="abcfilsß'ı éé", min_size=1, max_size=12))
def test_what_matches_has_the_pattern_of_each_word(text: str) -> None:
    try:
        query = SearchQuery(text)
    except BadQuery:
        return
    for spelled in (text, text.upper(), unicodedata.normalize("NFD", text)):
        if query.matches([spelled]):
            for word in query.query_words:
                assert re.search(word.pattern, spelled, re.IGNORECASE)
