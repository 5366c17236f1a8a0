"""The import-linter contract of the pure cores: what decides a protocol knows no socket, no clock and no thread.

import-linter's own "forbidden" contract wants its source modules listed; here whole packages are pure except for
the modules named, so that a new file is held to the rule from its first line.
"""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class PureCore(Contract):
    """Every module of `packages` except `impure`, and every one of `modules`, must not reach `forbidden`.

    Reaching counts through other modules of ours too; what third-party packages import is theirs to know.
    """

    type_name = "pure_core"

    packages = fields.SetField(subfield=fields.StringField())
    impure = fields.SetField(subfield=fields.StringField())
    modules = fields.SetField(subfield=fields.StringField(), required=False)
    forbidden = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        impure = set(self.impure)
        pure = {name for name in self.modules or () if name in graph.modules}
        for package in self.packages:
            pure |= {package, *graph.find_descendants(package)} - impure
        reached = []
        for module in sorted(pure):
            for forbidden in sorted(set(self.forbidden) & graph.modules):
                chain = graph.find_shortest_chain(importer=module, imported=forbidden)
                if chain:
                    reached.append(tuple(chain))
        return ContractCheck(kept=not reached, metadata={"reached": reached, "pure": sorted(pure)})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for chain in check.metadata["reached"]:
            output.print_error(" -> ".join(chain))
