"""Let the product that makes a gradient add the parameter as well: the update costs nothing."""

from __future__ import annotations

import onnx_ir as ir


class FuseUpdatePass(ir.passes.InPlacePass):
    """Write Add(C, MatMul(A, B)) as Gemm(A, B, C), and a Transpose of A or B as its attribute.

    Only for matrices: C is (M, N), or (N,) or (1, N), which Gemm broadcasts alike. A Reshape
    of a (1, N) product to (N,), as bias gradients have it, may stand between the two.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite every graph of the model; dead nodes stay for the pass that removes them."""
        changed = 0
        for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
            if node.op_type == "Add":
                changed += _fuse(node)
        return ir.passes.PassResult(model, modified=changed > 0)


def _fuse(add: ir.Node) -> bool:
    for addend, product in (add.inputs, tuple(reversed(add.inputs))):
        if addend is None or product is None or not _only_here(product):
            continue
        node = product.producer()
        reshape = None
        if node is not None and node.op_type == "Reshape" and _is_row(node):
            reshape, row = node, node.inputs[0]
            node = row.producer() if row is not None and _only_here(row) else None
        if node is None or node.op_type != "MatMul" or node.graph is not add.graph:
            continue
        if _fits(node.outputs[0], addend):
            _write(add, node, addend, reshape)
            return True
    return False


def _write(add: ir.Node, product: ir.Node, addend: ir.Value, reshape: ir.Node | None) -> None:
    """Put a Gemm, and the Reshape behind it, in the place of the Add."""
    left, trans_a = _transposed(product.inputs[0])
    right, trans_b = _transposed(product.inputs[1])
    gemm = ir.node(
        "Gemm",
        [left, right, addend],
        {"transA": int(trans_a), "transB": int(trans_b)},
        name=f"{product.outputs[0].name}/update",
    )
    output, old, made = gemm.outputs[0], add.outputs[0], product.outputs[0]
    output.name = f"{made.name}/update"
    output.type, output.shape = made.type, made.shape
    new = [gemm]
    if reshape is not None:
        back = ir.node("Reshape", [output, reshape.inputs[1]], name=f"{add.outputs[0].name}/update")
        new.append(back)
        output = back.outputs[0]
    name = old.name
    output.type, output.shape = old.type, old.shape
    graph = add.graph
    assert isinstance(graph, ir.Graph)  # noqa: S101  # it was reached through one
    graph.insert_before(add, new)
    old.replace_all_uses_with(output, replace_graph_outputs=True)
    graph.remove(add, safe=True)
    output.name = name


def _transposed(value: ir.Value | None) -> tuple[ir.Value | None, bool]:
    """Return what a 2-D Transpose reads, and whether there is one."""
    node = value.producer() if value is not None else None
    if node is not None and node.op_type == "Transpose" and _rank(value) == 2:
        return node.inputs[0], True
    return value, False


def _fits(product: ir.Value, addend: ir.Value) -> bool:
    """Whether Gemm adds `addend` to the product as Add would."""
    if _rank(product) != 2 or addend.shape is None or product.shape is None:
        return False
    if addend.dtype != ir.DataType.FLOAT:
        return False
    sizes = list(addend.shape)
    if len(sizes) == 2:
        return sizes[1] == product.shape[1] and sizes[0] in (1, product.shape[0])
    return sizes == [product.shape[1]]


def _is_row(reshape: ir.Node) -> bool:
    before, after = reshape.inputs[0], reshape.outputs[0]
    if before is None or before.shape is None or after.shape is None:
        return False
    return list(before.shape) == [1, *after.shape]


def _only_here(value: ir.Value) -> bool:
    """Whether the Add is all that reads a value."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def _rank(value: ir.Value | None) -> int | None:
    return None if value is None or value.shape is None else len(value.shape)
