"""Published systems, one a file; the registry is this dict, written by hand."""

from __future__ import annotations

from gannet.errors import GannetError, did_you_mean
from gannet.recipes.gan import GAN
from gannet.recipes.hinge import Hinge
from gannet.recipes.lsgan import LSGAN
from gannet.recipes.maligan import MaliGAN
from gannet.recipes.private import Private
from gannet.recipes.r3gan import R3GAN
from gannet.recipes.recipe import Pace, Recipe, Terms, Turn
from gannet.recipes.wgan import WGAN
from gannet.recipes.wgan_gp import WGANGP

__all__ = ["RECIPES", "Pace", "Recipe", "Terms", "Turn", "recipe_named"]

RECIPES: dict[str, type[Recipe]] = {
    "gan": GAN,
    "hinge": Hinge,
    "lsgan": LSGAN,
    "maligan": MaliGAN,
    "private": Private,
    "r3gan": R3GAN,
    "wgan": WGAN,
    "wgan_gp": WGANGP,
}


def recipe_named(name: str) -> type[Recipe]:
    """The recipe of this name; GannetError with the nearest name when there is none."""
    if name not in RECIPES:
        raise GannetError(f"recipe {name!r} is not known; {did_you_mean(name, RECIPES)}")
    return RECIPES[name]
