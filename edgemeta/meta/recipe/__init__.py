"""The recipe: pre-trains, meta-trains, chooses what adapts on validation tasks; no choice is left.

| step | what is compared on the validation part |
|---|---|
| bodies | a ready body of the data's kind, where its extra is installed |
| pre-training | the data as they are; augmented; with more classes |
| meta-training | from the best of these, on tasks |
| adapting | what adapts, after how many steps, at which rate, behind which neck |

The cheapest on the device wins among those within one standard error of the best.
"""

from edgemeta.meta.recipe._options import asks_for_recipe
from edgemeta.meta.recipe.recipe import Recipe

__all__ = ["Recipe", "asks_for_recipe"]
