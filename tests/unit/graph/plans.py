"""Jobs whose plans are drawn: what users have, and what is hard to draw."""

from __future__ import annotations

from collections.abc import Callable

from pyflow_yarn.graph.generator import job_graph
from pyflow_yarn.graph.job_graph import JobGraph, Partitioning
from pyflow_yarn.graph.stream_graph import stream_graph
from tests.unit.graph.graphs import Builder


class Plan(Builder):
    """A builder with the partitionings by name."""

    def hashed(self, upstream: int) -> int:
        return self.partition(upstream, Partitioning.HASH, key_selector=len)

    def rebalanced(self, upstream: int) -> int:
        return self.partition(upstream, Partitioning.REBALANCE)

    def job(self, name: str, parallelism: int = 2) -> JobGraph:
        """The job."""
        return job_graph(stream_graph(self.pipeline(parallelism=parallelism)), job_id="a" * 32, name=name)


def word_count() -> JobGraph:
    plan = Plan()
    words = plan.map(plan.source("lines", parallelism=1), "words")
    plan.print(plan.map(plan.hashed(words), "counts"), "Print to Std. Out")
    return plan.job("Word count")


def union() -> JobGraph:
    plan = Plan()
    sources = [plan.source(name) for name in ("orders", "returns", "corrections")]
    balance = plan.map(plan.hashed(plan.union(*sources)), "balance")
    plan.print(plan.rebalanced(balance), "ledger")
    plan.print(plan.partition(balance, Partitioning.BROADCAST), "audit", parallelism=1)
    return plan.job("Three sources, two sinks")


def diamond() -> JobGraph:
    plan = Plan()
    numbers = plan.source("numbers")
    evens = plan.map(plan.hashed(numbers), "evens")
    odds = plan.map(plan.partition(numbers, Partitioning.SHUFFLE), "odds")
    plan.print(plan.map(plan.rebalanced(plan.union(evens, odds)), "sum"), "total")
    return plan.job("Diamond")


def fifteen() -> JobGraph:
    """Fifteen vertices: joins, long edges, an edge that has to cross another one."""
    plan = Plan()
    clicks, views = plan.source("clicks"), plan.source("views")
    users = plan.source("users", parallelism=1)
    sessions = plan.map(plan.hashed(clicks), "sessionise")
    unique = plan.map(plan.hashed(views), "deduplicate")
    profiles = plan.map(plan.partition(users, Partitioning.BROADCAST), "profiles")
    joined = plan.map(plan.hashed(plan.union(sessions, unique)), "join")
    enriched = plan.map(plan.rebalanced(plan.union(joined, profiles)), "enrich")
    per_page = plan.map(plan.hashed(enriched), "count per page")
    per_user = plan.map(plan.hashed(enriched), "count per user")
    humans = plan.map(plan.rebalanced(unique), "bot filter")
    score = plan.map(plan.map(plan.hashed(plan.union(humans, per_page)), "score"), "round")
    rank = plan.map(plan.hashed(plan.union(per_user, score)), "rank")
    plan.print(plan.rebalanced(rank), "dashboard", parallelism=1)
    plan.print(rank, "archive")
    plan.print(plan.rebalanced(plan.union(per_page, sessions)), "pages")
    plan.print(humans, "visitors")
    return plan.job("Click stream", parallelism=4)


def long_names() -> JobGraph:
    plan = Plan()
    events = plan.source(
        "FileSource(file:///data/warehouse/2026/11/20/events/part-00000-of-00512.parquet, 14 of 320 columns)"
    )
    function = plan.map(events, "aFunctionWithAnAwfullyLongNameThatNobodyWantsToReadInAPictureButSomebodyGaveItAnyway")
    short = plan.map(plan.hashed(function), "short", slot_sharing_group="heavy-duty")
    plan.print(short, "JdbcSink(jdbc:postgresql://db.example.org:5432/warehouse?ssl=true, events_by_customer_and_day)")
    plan.print(function, "audit")
    return plan.job(
        "A pipeline with a rather long name, made from the names of all the tables that it reads: orders, customers,"
        " items, parts, suppliers, nations and regions"
    )


def unicode_names() -> JobGraph:
    plan = Plan()
    characters = plan.map(plan.source("Zeilen zählen, größer"), "文字を数える関数")
    words = plan.map(plan.hashed(characters), "подсчёт слов")
    plan.print(plan.map(plan.rebalanced(words), "حساب الكلمات"), "👩‍👩‍👧 családi 🎉")
    plan.print(words, "<b>&amp; ]]> \x00\x1b[31m\n\ud800\u202eturned round")
    return plan.job("Ünïcode 名前 <&>")


def branches() -> JobGraph:
    """A chain that is a tree, with edges that leave it in the middle."""
    plan = Plan()
    first = plan.map(plan.source("in"), "first")
    left, right = plan.map(first, "left"), plan.map(first, "right")
    for name in ("one", "two"):
        plan.print(left, name)
    plan.print(right, "three")
    plan.print(plan.map(plan.hashed(left), "keyed"), "four")
    plan.print(plan.rebalanced(right), "five")
    return plan.job("A chain that branches")


def alone() -> JobGraph:
    plan = Plan()
    plan.print(plan.source("numbers"), "out")
    return plan.job("One vertex")


PLANS: dict[str, Callable[[], JobGraph]] = {
    each.__name__: each for each in (word_count, union, diamond, fifteen, long_names, unicode_names, branches, alone)
}
