"""Recipes of trainings that take a moment."""

from restore.denoise.recipe import DenoiseRecipe

TINY = DenoiseRecipe(
    model="dncnn", channels=1, depth=3, widths=(8,), patch=16, batch=4, steps=6, sigma=(25, 25)
)
