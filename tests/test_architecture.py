"""The package keeps to its budget of size, shape and direction; what breaks a limit is named with file and line."""

from __future__ import annotations

import ast
import importlib.util
import io
import re
import sys
import tokenize
from collections.abc import Callable
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import flask_condor

LAYERS = (
    (
        "background",
        "bus",
        "csrf",
        "errors",
        "file_guard",
        "line",
        "local",
        "meant",
        "models_of_pydantic",
        "places",
        "redaction",
        "signals",
        "top_frame",
        "travel",
        "watch",
    ),
    ("dashboard.samples",),
    ("addresses",),
    ("posting",),
    ("config", "drops", "due", "faults", "models", "own_code", "payload", "retry", "storable"),
    ("sqlite_file",),
    ("context", "database", "edge_models", "family", "firings", "rates", "trend_models"),
    ("kept_lines", "logged_lines"),
    ("failures",),
    ("schema",),
    ("counting",),
    ("event", "statements"),
    ("cloudevent", "payload_type"),
    ("signature",),
    ("event_name",),
    ("typed_names",),
    ("job",),
    ("chain", "deferral"),
    ("after_response", "queued", "transactions"),
    ("history", "prune", "rows", "timeline"),
    ("dashboard.reading.event", "receipt"),
    ("failure_groups",),
    ("redacting",),
    ("log", "writing"),
    ("disabled",),
    ("webhook",),
    ("purge",),
    ("recording",),
    ("records",),
    ("recorder",),
    ("joining",),
    ("outbox",),
    ("registry",),
    ("edited",),
    ("asyncapi", "operations", "queueing", "schedule"),
    ("bulk", "emitting", "operating"),
    ("lanes", "pauses"),
    ("forgetting", "muting", "presence"),
    ("gauges", "waits"),
    ("selected",),
    ("bulk_operations",),
    ("bulk_worker",),
    ("upkeep",),
    ("manager",),
    ("begun", "bell", "claims", "log_state", "reactions", "remarks"),
    ("by_hand",),
    ("checks", "deliveries", "log_diagnosis"),
    ("attempt", "diagnosis", "hands", "plan", "report"),
    ("appetite",),
    ("worker",),
    ("serving",),
    ("current", "subscribers", "supervisor"),
    ("ingress",),
    ("ingress.rejection", "ingress.tokens"),
    ("ingress.limiting",),
    ("ingress.receipts",),
    ("ingress.rejections",),
    ("ingress.backlog",),
    ("ingress.incoming", "ingress.strict_json"),
    ("ingress.cloudevents", "ingress.problem", "ingress.simple"),
    ("ingress.bodies",),
    ("ingress.openapi",),
    ("ingress.sending",),
    ("ingress.accepting",),
    ("ingress.route",),
    ("ingress.mounting",),
    ("ingress.diagnosis",),
    ("scaffold", "scaffold.refusal"),
    ("scaffold.changes", "scaffold.names", "scaffold.source"),
    ("scaffold.imports", "scaffold.skeleton"),
    ("scaffold.registering", "scaffold.texts"),
    ("scaffold.generating",),
    ("scaffold.folder",),
    ("commands",),
    ("commands.loading",),
    ("commands.shown", "commands.states", "commands.times"),
    ("commands.project",),
    ("commands.gen", "commands.init", "commands.new"),
    ("commands.batches", "commands.checking", "commands.counting", "commands.explaining", "commands.firing"),
    ("commands.beginning", "commands.following", "commands.listing", "commands.logged"),
    (
        "commands.describing",
        "commands.diagnosing",
        "commands.failing",
        "commands.moving",
        "commands.password",
        "commands.pruning",
        "commands.showing",
        "commands.stored",
        "commands.tables",
        "commands.tokens",
        "commands.webhooks",
    ),
    ("commands.operating_on_many", "commands.pausing"),
    ("cli",),
    ("dashboard",),
    ("dashboard.access", "dashboard.headers", "dashboard.routes"),
    ("dashboard.here",),
    ("dashboard.replaying",),
    ("dashboard.assets", "dashboard.links", "dashboard.message", "dashboard.query", "dashboard.same_site"),
    ("dashboard.shapes",),
    ("dashboard.shown_payload",),
    ("dashboard.selecting",),
    ("dashboard.export", "dashboard.freshness", "dashboard.strip", "dashboard.traces"),
    ("dashboard.polling",),
    ("dashboard.reading",),
    ("dashboard.reading.runs", "dashboard.search"),
    ("dashboard.suggestions",),
    ("dashboard.frame",),
    ("dashboard.reading.spans",),
    ("dashboard.figures", "dashboard.installation"),
    ("dashboard.reading.audited", "dashboard.reading.glance", "dashboard.reading.lag", "dashboard.reading.sizes"),
    ("dashboard.tiles",),
    ("dashboard.reading.payloads",),
    ("dashboard.reading.fired",),
    ("dashboard.reading.chain", "dashboard.side_panel"),
    ("dashboard.pages.chain",),
    ("dashboard.pages.event",),
    ("dashboard.own", "dashboard.reading.catalogue", "dashboard.trial"),
    ("dashboard.reading.differences",),
    ("dashboard.pages",),
    ("dashboard.reading.backlog",),
    ("dashboard.pages.operations", "dashboard.pages.queues"),
    ("dashboard.pages.overview", "dashboard.pages.system"),
    ("dashboard.pages.failures", "dashboard.pages.runs"),
    ("dashboard.reading.received",),
    ("dashboard.pages.catalogue", "dashboard.pages.ingress"),
    ("dashboard.pages.tokens",),
    ("dashboard.blueprint",),
    ("dashboard.pages.events",),
    ("dashboard.mounting",),
    ("instrumentation",),
    ("instrumentation.otel", "instrumentation.prometheus"),
    ("extension",),
    ("__init__",),
    ("demo",),
    ("demo.senders", "demo.shop", "demo.trends"),
    ("demo.stories",),
    ("demo.hour",),
    ("demo.app",),
    ("commands.demonstrating",),
    ("testing.apart", "testing.clock", "testing.drain", "testing.held"),
    ("testing.worker",),
    ("testing.fake",),
    ("testing",),
    ("pytest_plugin",),
)
"""The modules, lowest layer first: each imports only from the layers below its own, so there can be no cycle."""

RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
PACKAGE = Path(flask_condor.__file__).parent

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef
Import = ast.Import | ast.ImportFrom
Loop = ast.For | ast.AsyncFor | ast.While
Block = Loop | ast.If | ast.With | ast.AsyncWith | ast.Try | ast.TryStar | ast.Match
Branch = Loop | ast.If | ast.IfExp | ast.comprehension | ast.ExceptHandler | ast.match_case
TYPE_CHECKING = ("TYPE_CHECKING", "t.TYPE_CHECKING", "typing.TYPE_CHECKING")
SILENCER = r"#\s*(?:noqa|pragma|(?:type|pyright|mypy|ruff):)"
CODED = r"#\s*(?:noqa:\s*[A-Z]+\d[\w, ]*|pragma:\s*\w[\w ]*|(?:type|pyright):\s*ignore\[[\w, -]+\])"
CODED_AND_REASONED = re.compile(rf"(?:{CODED}\s*)+(?!.*{SILENCER})#\s*\w.*")


class Module:
    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        self.shown = path.relative_to(PACKAGE.parent)
        self.name = short_name(".".join(self.shown.with_suffix("").parts))
        self.lines = text.splitlines()
        self.tree = ast.parse(text)
        self.nodes = list(ast.walk(self.tree))
        self.imports = [node for node in self.nodes if isinstance(node, Import)]
        self.comments = [(self, token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
        self.code_lines = {token.start[0] for token in tokens if token.type in (tokenize.NAME, tokenize.OP)}


def short_name(dotted: str) -> str:
    return dotted.removeprefix(PACKAGE.name).removesuffix(".__init__").strip(".") or "__init__"


SKELETON = PACKAGE / "skeleton"
"""What a wheel carries of the repository's top level, for `flask events new`."""
MODULES = [Module(path) for path in sorted(PACKAGE.rglob("*.py")) if SKELETON not in path.parents]
ROOT = next(module for module in MODULES if module.name == "__init__")
COMMENTS = [comment for module in MODULES for comment in module.comments]
SILENCERS = [comment for comment in COMMENTS for _ in re.findall(SILENCER, comment[2])]


def refuse(offenders: Iterable[tuple[Module, int, str]]) -> None:
    told = [f"{module.shown}:{line}: {what}" for module, line, what in offenders]
    assert not told, "\n".join(told)


def refuse_functions_above(limit: int, unit: str, measure: Callable[[Function], int]) -> None:
    sizes = [(m, node, measure(node)) for m in MODULES for node in m.nodes if isinstance(node, Function)]
    refuse((m, f.lineno, f"{f.name} has {size} {unit}, allowed are {limit}") for m, f, size in sizes if size > limit)


def inner_nodes(node: ast.AST) -> Iterable[ast.AST]:
    """Return the children of *node* without functions, which are measured by themselves."""
    return (child for child in ast.iter_child_nodes(node) if not isinstance(child, Function))


def count_branches(node: ast.AST) -> int:
    here = len(node.values) - 1 if isinstance(node, ast.BoolOp) else isinstance(node, Branch)
    return here + sum(map(count_branches, inner_nodes(node)))


def count_levels(node: ast.AST, columns: frozenset[int] = frozenset()) -> int:
    """Count the columns at which nested blocks begin; an ``elif`` shares that of its ``if``."""
    columns |= {node.col_offset} if isinstance(node, Block) else set()
    return max((count_levels(child, columns) for child in inner_nodes(node)), default=len(columns))


def count_positional(function: Function) -> int:
    return sum(argument.arg not in ("self", "cls") for argument in function.args.posonlyargs + function.args.args)


def runtime_imports(module: Module) -> Iterable[Import]:
    ifs = [node for node in module.nodes if isinstance(node, ast.If)]
    guarded = [part for node in ifs if ast.unparse(node.test) in TYPE_CHECKING for part in node.body]
    exempt = {node for part in guarded for node in ast.walk(part)}
    return (node for node in module.imports if node not in exempt)


def modules_named(node: Import, module: Module) -> Iterable[str]:
    """Tell which modules of the package an import statement names."""
    base, package = "", ".".join(module.shown.parent.parts)
    if isinstance(node, ast.ImportFrom):
        base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
    for dotted in (f"{base}.{alias.name}".strip(".") for alias in node.names):
        if dotted.split(".")[0] == PACKAGE.name:
            yield short_name(dotted) if short_name(dotted) in RANK else short_name(base or dotted)


def undocumented(module: Module) -> Iterable[Definition]:
    made = sys.modules[f"{PACKAGE.name}.{module.name}"]
    classes = [node for node in module.tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    yield from undocumented_in(module.tree, made)
    for node in classes:
        yield from undocumented_in(node, getattr(made, node.name))


def undocumented_in(parent: ast.Module | ast.ClassDef, made: object) -> Iterable[Definition]:
    """Find what is public directly in *parent*, unless it is a property or overrides what a base class explains."""
    known = {name for base in getattr(made, "__mro__", ())[1:] for name in vars(base)}
    known |= {name for name, value in vars(made).items() if isinstance(value, property | cached_property)}
    public = (node for node in parent.body if isinstance(node, Definition) and node.name[0] != "_")
    return (node for node in public if node.name not in known and not ast.get_docstring(node))


def test_no_file_is_longer_than_300_lines() -> None:
    refuse((m, 301, f"the file has {len(m.lines)} lines, allowed are 300") for m in MODULES if len(m.lines) > 300)


def test_no_function_is_longer_than_50_lines() -> None:
    refuse_functions_above(50, "lines", lambda function: (function.end_lineno or 0) - function.lineno + 1)


def test_no_function_branches_more_than_10_times() -> None:
    refuse_functions_above(10, "branches", lambda function: 1 + count_branches(function))


def test_no_function_nests_deeper_than_3_levels() -> None:
    refuse_functions_above(3, "levels", count_levels)


def test_no_function_takes_more_than_6_arguments_by_position() -> None:
    refuse_functions_above(6, "arguments besides self that are not keyword-only", count_positional)


def test_every_module_has_its_layer() -> None:
    where = "LAYERS at the top of tests/test_architecture.py, above every module that it imports"
    refuse((m, 1, f"add {m.name!r} to {where}") for m in MODULES if m.name not in RANK)


def test_imports_go_down_the_layers_and_so_never_in_a_cycle() -> None:
    found = ((m, node.lineno, name) for m in MODULES for node in runtime_imports(m) for name in modules_named(node, m))
    upward = (one for one in found if RANK.get(one[2], -1) >= RANK.get(one[0].name, len(LAYERS)))
    refuse((m, line, f"{m.name} imports {name}, which is in no layer below it") for m, line, name in upward)


def test_each_import_has_a_line_of_its_own() -> None:
    imports = ((m, node, m.lines[node.lineno - 1]) for m in MODULES for node in m.imports)
    refuse((m, node.lineno, text) for m, node, text in imports if len(node.names) > 1 or ";" in text)


def test_the_root_exports_at_most_12_names_sorted_and_importable() -> None:
    names = flask_condor.__all__
    faults = [f"{name!r} is one name too many: allowed are 12" for name in names[12:]]
    faults += [f"{name!r} is out of order" for name, right in zip(names, sorted(names), strict=True) if name != right]
    faults += [f"{name!r} cannot be imported" for name in names if not hasattr(flask_condor, name)]
    refuse((ROOT, 1, f"__all__: {fault}") for fault in faults)


def test_everything_public_in_the_exported_modules_has_a_docstring() -> None:
    exported = {name for node in ROOT.imports for name in modules_named(node, ROOT)}
    refuse((m, n.lineno, f"{n.name} has no docstring") for m in MODULES if m.name in exported for n in undocumented(m))


def test_there_is_at_most_one_comment_per_10_lines_of_code() -> None:
    refuse(COMMENTS if len(COMMENTS) * 10 > sum(len(module.code_lines) for module in MODULES) else ())


def test_there_are_at_most_8_silencers_per_1000_lines() -> None:
    refuse(SILENCERS if len(SILENCERS) * 1000 > sum(len(module.lines) for module in MODULES) * 8 else ())


def test_each_silencer_has_a_code_and_a_reason() -> None:
    lacking = (one for one in SILENCERS if not CODED_AND_REASONED.fullmatch(one[2]))
    refuse((m, line, f"write '# silencer: code  # reason', not {text!r}") for m, line, text in lacking)


def test_no_file_is_named_like_a_module_of_the_standard_library() -> None:
    paths = [*PACKAGE.rglob("*.py"), *Path(__file__).parents[1].glob("benchmarks/**/*.py")]
    told = [f"{path}:1: rename it" for path in paths if {path.stem, path.parent.name} & sys.stdlib_module_names]
    assert not told, "\n".join(told)
