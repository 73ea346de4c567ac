"""What feeds back in a network that is one step of time, whose states are inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass

from archcast.zero_cost._program import Instruction, Program


@dataclass(frozen=True)
class Loop:
    """How a program that is one step of time is fed back.

    Attributes:
        pairs: input -> the node that becomes it at the next step.
        hidden: the node by which the first recurrent layer's result leaves.
    """

    pairs: dict[int, int]
    hidden: int

    @classmethod
    def of(cls, program: Program) -> Loop | None:
        """Find states by their shapes: a graph does not say which output follows which input.

        Inputs are paired with outputs of equal shape that depend on them; first outputs that
        depend on the fewest inputs, which are those of the first layers, then those with the
        fewest operators between; ties go by canonical order. So layers are told apart, but of
        several states of one layer it is not known which is which. What is no state must come
        in, too, or there is no loop.

        The first layer's result is the state through which all leads that is made of what it
        is made of: past it nothing is reached but outputs of nothing else and words, and states
        that no operator reads.
        """
        pairs = _paired(program)
        words = {i for i in program.inputs if i not in pairs}
        if not pairs or not words:
            return None
        depends = {i: _inputs_of(program, i) for i in program.outputs}
        read = [i for i in pairs.values() if _is_read(program, i)]
        gates = []
        for state in read:
            layer = {i for i in depends if depends[i] <= depends[state] | words}
            past = _past(program, depends[state], state).intersection(program.outputs)
            harmless = layer.union(pairs.values()).difference(set(read) - layer)
            if past <= harmless and any(depends[i] & words for i in layer):
                gates.append((len(depends[state]), -state))
        return cls(pairs, -min(gates)[1] if gates else min(read or pairs.values()))


def _is_read(program: Program, node: int) -> bool:
    """Whether an operator reads a node, beside giving it out."""
    return any(program.instructions[j].op != "output" for j in program.consumers[node])


def _past(program: Program, starts: set[int], around: int) -> set[int]:
    """Nodes that some nodes lead to without a certain one."""
    found = set(starts)
    for i, step in enumerate(program.instructions):
        if i != around and not found.isdisjoint(step.inputs):
            found.add(i)
    return found


def _paired(program: Program) -> dict[int, int]:
    """Inputs that are states -> the nodes they come back from."""
    steps = program.instructions
    entries = [i for i in program.inputs if i not in program.token_inputs]
    depends = {end: _inputs_of(program, end) for end in program.outputs}
    order = []
    for entry in entries:
        away = {entry: 0}
        for i in range(entry + 1, len(steps)):
            near = [away[j] for j in steps[i].inputs if j in away]
            if near:
                away[i] = min(near) + 1
        far = len(steps)
        alike = [end for end in program.outputs if _shape(steps[end]) == _shape(steps[entry])]
        order += [
            (end not in away, len(depends[end]), away.get(end, far), entry, end) for end in alike
        ]
    pairs: dict[int, int] = {}
    for *_, entry, end in sorted(order):
        if entry not in pairs and end not in pairs.values():
            pairs[entry] = end
    return pairs


def _inputs_of(program: Program, node: int) -> set[int]:
    """Inputs that a node depends on within a step."""
    return set(needed(program, node, {})) & set(program.inputs)


def _shape(step: Instruction) -> tuple[int, ...]:
    return (step.channels, *step.extent)


def needed(program: Program, end: int, pairs: dict[int, int]) -> list[int]:
    """Nodes that a node depends on, in any number of steps of time, in order."""
    found, waiting = {end}, [end]
    while waiting:
        i = waiting.pop()
        back = (pairs[i],) if i in pairs else ()
        for j in (*program.instructions[i].inputs, *back):
            if j not in found:
                found.add(j)
                waiting.append(j)
    return sorted(found)
