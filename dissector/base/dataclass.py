"""Dataclasses that are made when they are used: ``dataclass`` of the standard library at a tenth of its cost.

That one writes and compiles the text of three to six methods for each class, 0.4 ms a class: for the seventy classes
of ``dsmshark jobs`` it was a third of the start-up. Here the methods that are alike in all classes are closures, and
the constructor is compiled when a class has some objects, which of many classes never happens in one run.

For type checkers it *is* that of the standard library, and so are ``field``, ``fields`` and ``replace``. What is left
out, since nobody here needs it: ``order``, ``InitVar``, ``ClassVar``, keyword-only fields, annotations of the
constructor at run time, and more than one base that is a dataclass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses
    from dataclasses import MISSING, Field, FrozenInstanceError
    from inspect import get_annotations
    from operator import attrgetter
    from reprlib import recursive_repr

    FIRST = 8
    """Objects that are made before the constructor is compiled, which costs as much as thirty of them."""

    def dataclass(*, frozen=False, slots=False, eq=True):
        """Make a class a dataclass; the arguments are those of :func:`dataclasses.dataclass`."""

        def make(cls):
            own = get_annotations(cls)
            values = {name: cls.__dict__[name] for name in own if name in cls.__dict__}
            for name, value in values.items():
                if not isinstance(value, Field) and value.__class__.__hash__ is None:
                    raise ValueError(f"{cls.__name__}.{name}: all objects would share one {value!r}")
            inherited, inherited_values = getattr(cls, "__dataclass_plan__", ({}, {}))
            annotations, values = {**inherited, **own}, {**inherited_values, **values}
            added = {
                "__dataclass_plan__": (annotations, values),
                "__dataclass_fields__": _Fields(),
                "__match_args__": tuple(name for name in annotations if _flag(values, name, "init")),
                "__init__": _first_init(annotations, values, frozen),
                "__repr__": _repr(annotations, values),
            }
            if frozen:
                added |= {"__setattr__": _frozen, "__delattr__": _frozen}
                if slots:
                    added |= _pickling(tuple(annotations))
            if eq:
                key = _key(tuple(name for name in annotations if _flag(values, name, "compare")))
                added["__eq__"] = _equal(key)
                added["__hash__"] = _hash(key) if frozen else None
            # What the class defines itself stays (but for __hash__: Python puts None there with an __eq__).
            kept = {n for n in added if n in cls.__dict__ and (n != "__hash__" or cls.__dict__[n] is not None)}
            if not slots:
                _plain_defaults(cls, own, values)
                for name in added.keys() - kept:
                    setattr(cls, name, added[name])
                return cls
            # Slots and values of the class cannot have the same names: it is made once more, without these.
            body = {name: value for name, value in cls.__dict__.items() if name not in own}
            body.pop("__dict__", None)
            body.pop("__weakref__", None)
            body |= {name: added[name] for name in added.keys() - kept}
            body["__slots__"] = tuple(name for name in own if name not in inherited)
            made = type(cls)(cls.__name__, cls.__bases__, body)
            made.__qualname__ = cls.__qualname__
            return made

        return make

    class _Fields:
        """Stands for ``__dataclass_fields__``, which ``fields`` and ``replace`` ask for, until somebody does."""

        def __get__(self, instance, owner):
            annotations, values = owner.__dataclass_plan__
            body = {"__module__": owner.__module__, "__annotations__": annotations, "__doc__": "", **values}
            shadow = dataclasses.dataclass(init=False, repr=False, eq=False)(type(owner.__name__, (), body))
            owner.__dataclass_fields__ = shadow.__dataclass_fields__
            return owner.__dataclass_fields__

    def _plain_defaults(cls, own, values):
        """Defaults stay values of a class without slots."""
        for name in own:
            value = values.get(name)
            if isinstance(value, Field):
                if value.default is MISSING:
                    delattr(cls, name)
                else:
                    setattr(cls, name, value.default)

    def _flag(values, name, flag):
        value = values.get(name)
        return getattr(value, flag) if isinstance(value, Field) else True

    def _first_init(annotations, values, frozen):
        """The constructor of the first objects, which takes ten times as long as the compiled one."""
        parameters = [name for name in annotations if _flag(values, name, "init")]
        left = FIRST

        def first(self, *arguments, **named):
            nonlocal left
            left -= 1
            given = {**dict(zip(parameters, arguments, strict=False)), **named}
            whole = len(given) == len(arguments) + len(named) and given.keys() <= set(parameters)
            if left >= 0 and whole:
                for name in annotations:
                    value = given[name] if name in given else _default(values.get(name, MISSING))
                    if value is not MISSING:
                        object.__setattr__(self, name, value)
                    elif name in parameters:
                        whole = False
                if whole:
                    if hasattr(self, "__post_init__"):
                        self.__post_init__()
                    return
            # What is wrong with the arguments, Python says best.
            made = next(kind for kind in type(self).__mro__ if kind.__dict__.get("__init__") is first)
            made.__init__ = _init(made, frozen)
            made.__init__(self, *arguments, **named)

        return first

    def _default(value):
        """What a field has where nothing is given, MISSING where something has to be."""
        if not isinstance(value, Field):
            return value
        return value.default if value.default_factory is MISSING else value.default_factory()

    def _init(made, frozen):
        """The constructor, compiled."""
        annotations, values = made.__dataclass_plan__
        scope, parameters, lines = {"_missing": MISSING}, [], []
        for name in annotations:
            value = values.get(name, MISSING)
            default, factory, init = value, MISSING, True
            if isinstance(value, Field):
                default, factory, init = value.default, value.default_factory, value.init
            parameter, source = name, name
            if factory is not MISSING:
                scope[f"_make_{name}"] = factory
                parameter = f"{name}=_missing"
                source = f"_make_{name}() if {name} is _missing else {name}" if init else f"_make_{name}()"
            elif default is not MISSING:
                scope[f"_default_{name}"] = default
                parameter = f"{name}=_default_{name}"
                source = name if init else f"_default_{name}"
            elif not init:
                continue
            if init:
                parameters.append(parameter)
            if not frozen:
                lines.append(f" self.{name} = {source}")
                continue
            # A slot's own setter takes two thirds of the time of object.__setattr__.
            slot = getattr(getattr(made, name, None), "__set__", None)
            scope[f"_set_{name}"] = slot or object.__setattr__
            lines.append(f" _set_{name}(self, {source})" if slot else f" _set_{name}(self, {name!r}, {source})")
        if hasattr(made, "__post_init__"):
            lines.append(" self.__post_init__()")
        exec(f"def __init__(self, {', '.join(parameters)}):\n" + "\n".join(lines or [" pass"]), scope)
        return scope["__init__"]

    def _repr(annotations, values):
        shown = [name for name in annotations if _flag(values, name, "repr")]

        @recursive_repr("...")
        def text(self):
            return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

        return text

    def _key(names):
        """What of an object is compared."""
        return attrgetter(*names) if names else lambda self: ()

    def _equal(key):
        def equal(self, other):
            if other.__class__ is self.__class__:
                return key(self) == key(other)
            return NotImplemented

        return equal

    def _hash(key):
        def hashed(self):
            return hash(key(self))

        return hashed

    def _frozen(self, name, *value):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _pickling(names):
        """Frozen objects cannot be filled the way ``pickle`` fills others."""

        def get(self):
            return [getattr(self, name) for name in names]

        def put(self, state):
            for name, value in zip(names, state, strict=True):
                object.__setattr__(self, name, value)

        return {"__getstate__": get, "__setstate__": put}
