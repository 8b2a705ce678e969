"""``dissector.base.dataclass`` does what the standard library's ``dataclass`` does, class by class."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from dissector.base.dataclass import dataclass as ours

SHAPES = {
    "plain": {},
    "slots": {"slots": True},
    "frozen": {"frozen": True},
    "frozen slots": {"frozen": True, "slots": True},
    "without eq": {"slots": True, "eq": False},
    "frozen without eq": {"frozen": True, "slots": True, "eq": False},
}


def made(decorate, options):
    @decorate(**options)
    class Thing:
        """A thing."""

        name: str
        size: int = 3
        parts: list[int] = field(default_factory=list)
        secret: str = field(default="s", repr=False, compare=False)
        later: int = field(default=7, init=False)

        word = "of the class"

        def twice(self) -> int:
            return self.size * 2

    return Thing


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def shape(request):
    return request.param


@pytest.fixture(params=[0, 2, 100], ids=["compiled", "compiled later", "not compiled"])
def pair(request, shape, monkeypatch):
    monkeypatch.setattr("dissector.base.dataclass.FIRST", request.param)
    return made(dataclass, shape), made(ours, shape), shape


ARGUMENTS = [
    (("a",), {}),
    (("a", 4), {}),
    (("a", 4, (5,)), {}),
    ((), {"name": "a", "secret": "t"}),
    (("b",), {"size": 3}),
]


def values(thing):
    return [getattr(thing, name) for name in ("name", "size", "parts", "secret", "later")]


@pytest.mark.parametrize(("given", "named"), ARGUMENTS)
def test_constructor_repr_and_replace(pair, given, named):
    theirs, mine, _ = pair
    one, two = theirs(*given, **named), mine(*given, **named)
    assert values(one) == values(two)
    assert repr(one) == repr(two)
    assert values(replace(one, size=9)) == values(replace(two, size=9))
    assert [(f.name, f.type, f.repr, f.compare, f.init) for f in fields(one)] == [
        (f.name, f.type, f.repr, f.compare, f.init) for f in fields(two)
    ]
    assert dataclasses.asdict(one) == dataclasses.asdict(two)


def test_equality_and_hash(pair):
    def compared(kind):
        things = [kind(*given, **named) for given, named in ARGUMENTS]
        things += [kind("a", parts=()), kind("a", parts=(), secret="u")]
        equal = [[one == two for two in things] for one in things]
        hashes = []
        for one in things:
            try:
                hashes.append([hash(one) == hash(two) for two in things])
            except TypeError as error:
                hashes.append(str(error))
        return equal, hashes

    theirs, mine, _ = pair
    assert compared(theirs) == compared(mine)
    assert mine("a") != theirs("a")
    assert mine("a") != "a"


def test_form_of_the_class(pair):
    theirs, mine, options = pair
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__match_args__", "word"):
        assert getattr(theirs, name) == getattr(mine, name)
    assert getattr(theirs, "__slots__", None) == getattr(mine, "__slots__", None)
    assert mine("a").twice() == 6
    assert hasattr(mine("a"), "__dict__") != options.get("slots", False)
    for wrong in ((), ("a", 1, [], "s", 7)):
        with pytest.raises(TypeError):
            theirs(*wrong)
        with pytest.raises(TypeError):
            mine(*wrong)


def test_frozen(pair):
    _, mine, options = pair
    thing = mine("a")
    if options.get("frozen"):
        with pytest.raises(FrozenInstanceError):
            thing.size = 4
        with pytest.raises(FrozenInstanceError):
            del thing.size
    else:
        thing.size = 4
    assert thing.size == (3 if options.get("frozen") else 4)


def test_defaults_of_lists_are_not_shared():
    mine = made(ours, {"slots": True})
    one, two = mine("a"), mine("b")
    one.parts.append(1)
    assert two.parts == []
    with pytest.raises(ValueError, match="share"):

        @ours()
        class Wrong:
            parts: list[int] = []  # noqa: RUF012


@ours(frozen=True, slots=True)
class Carried:
    name: str
    size: int = 3


@ours(slots=True)
class Base:
    name: str
    size: int = 3


@ours(slots=True)
class Derived(Base):
    more: list[int] = field(default_factory=list)

    def __eq__(self, other):
        return "of its own"

    def __post_init__(self):
        self.size += 1


@pytest.mark.parametrize("thing", [Carried("a", 4), Base("b")])
def test_copies(thing):
    for again in (pickle.loads(pickle.dumps(thing)), copy.copy(thing), copy.deepcopy(thing)):
        assert again == thing
        assert again is not thing


def test_heir():
    thing = Derived("a", more=[1])
    assert repr(thing) == "Derived(name='a', size=4, more=[1])"
    assert [f.name for f in fields(Derived)] == ["name", "size", "more"]
    assert Derived.__slots__ == ("more",)
    assert (thing == 1) == "of its own"
    assert [f.name for f in fields(Base("b"))] == ["name", "size"]


def test_matching():
    match Carried("a", 4):
        case Carried(name, size):
            assert (name, size) == ("a", 4)
