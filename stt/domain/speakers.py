"""The speakers of a recording, as people name and merge them."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from stt.domain.visible_text import visible, without_controls
from stt.errors import ConfigError, EditConflict, NotFound

MAX_NAME_CHARACTERS = 100
ID_PATTERN = re.compile(r"speaker_\d+")  # as `name_key` returns it


@dataclass(frozen=True, slots=True)
class Speaker:
    """A speaker of a recording; `seconds` of speech.

    `into`: the id of the one that a person has merged this one into, None if it is its own.
    """

    id: str
    seconds: float
    embedding: str
    name: str | None = None
    into: str | None = None

    @property
    def label(self) -> str:
        return self.name or self.id


@dataclass(frozen=True, slots=True)
class RecordingSpeakers:
    """The speakers of a recording as stored; `of_local`: their ids by those of local speakers.

    `version` grows with each change.
    """

    speakers: tuple[Speaker, ...] = ()
    of_local: Mapping[str, str] = field(default_factory=dict)
    version: int = 0

    def listed(self) -> tuple[Speaker, ...]:
        """Return those that speak, by id, each with the seconds of those merged into it."""
        seconds: dict[str, float] = {}
        for one in self.speakers:
            owner = self._owner(one)
            seconds[owner.id] = seconds.get(owner.id, 0.0) + one.seconds
        return tuple(
            replace(one, seconds=round(seconds[one.id], 1))
            for one in self.speakers
            if seconds.get(one.id)
        )

    def of(self, local_id: str | None) -> Speaker | None:
        """Return whom a local speaker is; None for one too short to judge."""
        by_id = {one.id: one for one in self.speakers}
        found = by_id.get(self.of_local.get(local_id or "", ""))
        return found and self._owner(found)

    def label(self, local_id: str | None) -> str | None:
        """Return the name or id of whom a local speaker is; None if not known."""
        found = self.of(local_id)
        return found.label if found else None

    def local_ids(self, name: str) -> frozenset[str]:
        """Return the ids of the local speakers who are called so, by a name or an id."""
        key = name_key(name)
        meant = {one.id for one in self.listed() if key in (name_key(one.name), name_key(one.id))}
        owners = {one.id: self._owner(one).id for one in self.speakers}
        return frozenset(local for local, id_ in self.of_local.items() if owners.get(id_) in meant)

    def find(self, name: str) -> Speaker:
        """Return a speaker by id or name, in any case. Raise NotFound."""
        listed = self.listed()
        if found := _with_id(listed, name) or _with_name(listed, name):
            return found
        why = f"There is no speaker {name}"
        if merged := _with_id(self.speakers, name):
            owner = self._owner(merged)
            why = f"{merged.id} was merged into {owner.label}" if owner != merged else why
        raise NotFound(f"{why}; there are: {', '.join(one.label for one in listed) or 'none'}.")

    def renamed(self, who: str, name: str | None, before: str | None = None) -> "RecordingSpeakers":
        """Return them with a name for one of them, or without it.

        One who does not speak in the text as it is now loses the name to the one who gets it.
        `before`: only if it is called so. Raise NotFound, EditConflict, and ConfigError for a name
        that another one has, or that is like an id.
        """
        one = self.find(who)
        name = self._checked(name, one)
        if name == one.name:
            return self
        _check_label(one, before)
        free = self
        while same := _with_name(free.speakers, name or ""):
            free = free._with(same.id, lambda stored: replace(stored, name=None))
        return free._with(one.id, lambda stored: replace(stored, name=name))

    def merged(
        self,
        who: str,
        into: str,
        before: str | None = None,
        into_before: str | None = None,
    ) -> "RecordingSpeakers":
        """Return them with one counted as another one, who takes the name if he has none.

        `before`, `into_before`: only if they are called so. Raise NotFound, EditConflict.
        """
        one, target = self.find(who), self.find(into)
        _check_label(one, before)
        _check_label(target, into_before)
        if one.id == target.id:
            return self
        name = target.name or one.name
        return self._with(target.id, lambda stored: replace(stored, name=name))._with(
            one.id, lambda stored: replace(stored, into=target.id)
        )

    def _with(self, id_: str, change: Callable[[Speaker], Speaker]) -> "RecordingSpeakers":
        changed = (change(one) if one.id == id_ else one for one in self.speakers)
        return replace(self, speakers=tuple(changed))

    def _checked(self, name: str | None, one: Speaker) -> str | None:
        """Return a name as it can be stored, None for the id. Raise ConfigError."""
        name = _as_stored(name)
        if len(name) > MAX_NAME_CHARACTERS:
            raise ConfigError(f"A speaker's name has at most {MAX_NAME_CHARACTERS} characters.")
        others = [other for other in self.listed() if other.id != one.id]
        if same := _with_name(others, name):
            raise ConfigError(
                f"There is a speaker {same.name} already: if both are one, merge them."
            )
        known = _with_id(self.speakers, name)
        if known and known.id != one.id:
            raise ConfigError(f"{known.id} is another speaker.")
        if not known and ID_PATTERN.fullmatch(name_key(name)):
            raise ConfigError(f"{name} is an id: speakers without a name are called so.")
        return None if known else name or None

    def _owner(self, one: Speaker) -> Speaker:
        by_id = {each.id: each for each in self.speakers}
        seen = {one.id}
        while one.into in by_id:
            one = by_id[one.into]
            if one.id in seen:  # two people merged them into each other at once
                return by_id[min(seen)]
            seen.add(one.id)
        return one


def name_key(name: str | None) -> str:
    """Return what names have in common that are one to a person, in any case."""
    return unicodedata.normalize("NFC", _as_stored(name)).casefold()


def _as_stored(name: str | None) -> str:
    """Return a name without what does not show, and with single spaces."""
    return " ".join(visible(without_controls(name or "", " "), "").split())


def _with_id(speakers: Iterable[Speaker], id_: str) -> Speaker | None:
    return next((one for one in speakers if name_key(one.id) == name_key(id_)), None)


def _with_name(speakers: Iterable[Speaker], name: str) -> Speaker | None:
    wanted = name_key(name)
    return next((one for one in speakers if one.name and name_key(one.name) == wanted), None)


def _check_label(one: Speaker, before: str | None) -> None:
    if before is not None and before != one.label:
        raise EditConflict(
            f"{before} was given another name in the meantime: {one.label}.", one.label
        )
