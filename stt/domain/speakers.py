"""The speakers of a recording, as people name and merge them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from stt.errors import NotFound


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
    """The speakers of a recording as stored; `of_local`: their ids by those of local speakers."""

    speakers: tuple[Speaker, ...] = ()
    of_local: Mapping[str, str] = field(default_factory=dict)

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

    def find(self, name: str) -> Speaker:
        """Return a speaker by id or name, in any case. Raise NotFound."""
        for one in self.listed():
            if name and name.casefold() in (one.id.casefold(), (one.name or "").casefold()):
                return one
        known = ", ".join(one.label for one in self.listed()) or "none"
        raise NotFound(f"There is no speaker {name}; there are: {known}.")

    def _owner(self, one: Speaker) -> Speaker:
        by_id = {each.id: each for each in self.speakers}
        seen = {one.id}
        while one.into in by_id:
            one = by_id[one.into]
            if one.id in seen:  # two people merged them into each other at once
                return by_id[min(seen)]
            seen.add(one.id)
        return one
