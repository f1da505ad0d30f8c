"""Labels, views and models."""

import re

from millrace.checks.draft import Draft
from millrace.checks.events import event_spec
from millrace.checks.expressions import Scope, Typed, checked
from millrace.checks.groups import group_spec
from millrace.checks.sharing import groups_of, shares_rows
from millrace.events import Event, Field, snake_case
from millrace.expressions import Derived, Expression, OneHot
from millrace.groups import Feature, FeatureGroup, Last, Windowed
from millrace.hashing import content_hash
from millrace.models import Estimator, Label, Model
from millrace.places import Place
from millrace.spec import (
    ColumnSpec,
    EstimatorSpec,
    Expr,
    FeatureRef,
    LabelSpec,
    ModelSpec,
    Op,
    TrainingSpec,
    ViewSpec,
)

OPTIONS = {"objective": ("binary",), "score": ("stream", "request", "both"), "missing": ("fail", "default", "last")}
COLUMN_DTYPES = ("int", "float", "bool")


def label_spec(label: Label, draft: Draft) -> LabelSpec | None:
    """Return a checked label; None where it has mistakes."""
    if label not in draft.labels:
        draft.labels[label] = None
        before = len(draft.mistakes)
        spec = _label(label, draft)
        draft.labels[label] = spec if len(draft.mistakes) == before else None
    return draft.labels[label]


def _label(label: Label, draft: Draft) -> LabelSpec | None:
    place = label.place
    variable = label.name or place.name_of(label)
    name = snake_case(variable or "")
    if variable is None:
        draft.mistake(place, "a label without a name", mend='assign it to a variable, or give it name="..."')
    else:
        draft.name(place, name, of="a label")
    whole = draft.is_event(place, label.event, of="the label's event")
    if not (draft.is_event(place, label.seen_in, of="the label's seen_in") and whole):
        return None
    event, seen_in = event_spec(label.event, draft), event_spec(label.seen_in, draft)
    matures_us = draft.duration(place, label.matures_after, of="matures_after")
    if event is None or seen_in is None:
        return None
    if seen_in.refers_to != event.type:
        mend = f"give {seen_in.class_name} a field `refers_to({event.class_name})`"
        draft.mistake(place, f"{seen_in.class_name} does not say which {event.class_name} it is about", mend=mend)
    value = checked(label.value, place, Scope(label.seen_in, draft, "the label's value"))
    if value is not None and value.dtype != "bool":
        mend = f"compare it: value={seen_in.class_name}.some_field == 1"
        draft.mistake(place, f"the label's value is a {value.dtype}, no true or false", mend=mend)
    if label.default not in (True, False, None):
        draft.mistake(place, f"the label's default is {label.default!r}", mend="make it True, False or None")
    return LabelSpec(name, event.type, seen_in.type, value.expr, label.default, matures_us) if value else None


def model_spec(model: Model, pipeline: str, draft: Draft) -> ModelSpec | None:
    """Return a checked model, named as its pipeline unless it has a name; None where it has mistakes."""
    place, name = model.place, model.name or pipeline
    draft.name(place, name, of="a model")
    whole = [
        draft.is_a(place, model.label, Label, of="label"),
        draft.is_a(place, model.estimator, Estimator, of="estimator"),
        draft.is_a(place, model.view, (list, tuple), of="view"),
    ]
    if not all(whole):
        return None
    label = label_spec(model.label, draft)
    is_event = isinstance(model.label.event, type) and issubclass(model.label.event, Event)
    view = _view(name, model, draft) if is_event else None
    training = _training(model, draft)
    for option, known in OPTIONS.items():
        value = getattr(model, option)
        if value not in known:
            mend = "use " + " or ".join(f'"{one}"' for one in known)
            draft.mistake(place, f"{option}={value!r} is not available", mend=mend)
    if label is None or view is None:
        return None
    estimator = EstimatorSpec(model.estimator.name, dict(model.estimator.params))
    return ModelSpec(name, view, label, estimator, model.objective, model.score, training, model.missing)


def _training(model: Model, draft: Draft) -> TrainingSpec:
    draft.at_least(model.place, model.bootstrap, 50, of="bootstrap")
    draft.at_least(model.place, model.train_rows, 50, of="train_rows")
    takes_us = draft.duration(model.place, model.training_takes, of="training_takes")
    return TrainingSpec(bootstrap_rows=model.bootstrap, rows_max=model.train_rows, takes_us=takes_us, seed=model.seed)


def _view(name: str, model: Model, draft: Draft) -> ViewSpec | None:
    event = event_spec(model.label.event, draft)
    columns = [column for item in model.view for column in _columns(item, model, draft)]
    if not model.view:
        draft.mistake(model.place, "an empty view", mend="give the model features or fields: view=[CardSpend, ...]")
    names = [column.name for column in columns]
    for twice in sorted({one for one in names if names.count(one) > 1}):
        draft.mistake(model.place, f"the view has {twice} twice", mend="take each column once")
    if event is None or not columns:
        return None
    used = {reference for column in columns for reference in _groups(column.expr)}
    specs = {spec.name: spec for spec in draft.groups.values() if spec is not None}
    keys = {group: specs[group].key for group in sorted(used) if group in specs}
    spec = ViewSpec(name, event.type, tuple(columns), keys, hash="")
    return ViewSpec(name, event.type, spec.columns, keys, hash=content_hash(event.type, spec.columns, keys))


def _columns(item: object, model: Model, draft: Draft) -> list[ColumnSpec]:
    """Return the columns that one entry of a view stands for."""
    place = model.place
    if isinstance(item, type) and issubclass(item, FeatureGroup):
        return _group(item, model, draft)
    if isinstance(item, Windowed | Last):
        found = [_single(feature, model, draft) for feature in item.features]
    elif isinstance(item, OneHot):
        found = [_single(derived, model, draft) for derived in _one_hot(item, model, draft)]
    elif isinstance(item, Expression):
        found = [_single(item, model, draft)]
    else:
        mend = "list groups, features, event fields and derived values"
        draft.mistake(place, f"the view holds {item!r}", mend=mend)
        return []
    return [column for column in found if column is not None]


def _group(group: type[FeatureGroup], model: Model, draft: Draft) -> list[ColumnSpec]:
    spec = group_spec(group, draft)
    if spec is None or not shares_rows(group, model, model.place, draft):
        return []
    return [
        ColumnSpec(f"{spec.name}.{one.name}", one.dtype, FeatureRef(spec.name, one.name), spec.name)
        for one in spec.features
    ]


def _one_hot(item: OneHot, model: Model, draft: Draft) -> list[Expression[bool]]:
    """Return a derived column for each value."""
    inner = item.expression
    name = item.place.name_of(item) or (inner.name if isinstance(inner, Field | Derived) else None)
    if name is None:
        mend = "name it: `country = Sale.country.one_hot(...)` at the top of the file, and list country"
        draft.mistake(item.place, "the view holds a one_hot without a name", mend=mend)
        return []
    if not item.values:
        draft.mistake(item.place, f"{name} is one_hot of no values", mend='list them: one_hot("card", "cash")')
    columns = zip(item.values, item.conditions, strict=True)
    return [Derived(condition, f"{name}_{_slug(value)}", item.place) for value, condition in columns]


def _slug(value: object) -> str:
    """Return a value as part of a name.

    >>> _slug("New York"), _slug(-1.5), _slug(True)
    ('new_york', 'minus_1_5', 'true')
    """
    return re.sub(r"[^a-z0-9]+", "_", str(value).lower().replace("-", "minus_", isinstance(value, int | float)))


def _single(item: Expression[object], model: Model, draft: Draft) -> ColumnSpec | None:
    place = item.place if isinstance(item, Derived | Feature) else model.place
    groups = [group for group in groups_of(item) if not shares_rows(group, model, place, draft)]
    found = None if groups else checked(item, place, Scope(model.label.event, draft, "the view", group_spec))
    if found is None:
        return None
    name = _name(item, found, place)
    if name is None:
        mend = "name it: `amount_ratio = derive(...)` at the top of the file, and list amount_ratio"
        draft.mistake(place, "the view holds an expression without a name", mend=mend)
        return None
    if found.dtype not in COLUMN_DTYPES:
        text = 'give it codes: derive(Sale.country.category("de", "at")), or one_hot(...), hash_bucket(1024)'
        mend = text if found.dtype == "str" else "leave it out"
        draft.mistake(place, f"the view's {name} is a {found.dtype}; this version takes numbers and bools", mend=mend)
        return None
    group = found.expr.group if isinstance(found.expr, FeatureRef) else None
    return ColumnSpec(name, found.dtype, found.expr, group)  # type: ignore[arg-type]  # one of COLUMN_DTYPES


def _name(item: Expression[object], found: Typed, place: Place) -> str | None:
    if isinstance(item, Derived):
        return item.name or place.name_of(item)
    if isinstance(found.expr, FeatureRef):
        return f"{found.expr.group}.{found.expr.name}"
    return item.name if isinstance(item, Field) else None


def _groups(expr: Expr) -> set[str]:
    """Return the names of the groups that a checked expression reads."""
    if isinstance(expr, Op):
        return {name for operand in expr.operands for name in _groups(operand)}
    return {expr.group} if isinstance(expr, FeatureRef) else set()
