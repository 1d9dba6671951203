#!/usr/bin/env python3
"""imrestore for GIMP 3: Filters > Enhance > Denoise with imrestore.

Copy the folder ``imrestore-denoise`` to the folder ``plug-ins`` of GIMP's settings (Edit >
Preferences > Folders > Plug-ins), and make this file executable. The result is a new layer above
the one that was selected, so that its opacity tempers it.
"""

import sys
import tempfile
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
from gi.repository import Gimp, GimpUi, Gio, GLib, GObject  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent))
from command import command_line, run  # noqa: E402

NAME = "plug-in-imrestore-denoise"


class ImrestoreDenoise(Gimp.PlugIn):
    """The plug-in: one procedure, for the selected layer."""

    def do_query_procedures(self):
        """Return the names of the procedures."""
        return [NAME]

    def do_set_i18n(self, _name):
        """Tell GIMP that there are no translations."""
        return False

    def do_create_procedure(self, name):
        """Return the procedure with its place in the menu and its arguments."""
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, self.denoise, None)
        procedure.set_image_types("RGB*, GRAY*")
        procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
        procedure.set_menu_label("Denoise with _imrestore...")
        procedure.add_menu_path("<Image>/Filters/Enhance/")
        procedure.set_documentation(
            "Remove noise from a photograph with a trained network",
            "Runs the command imrestore on the selected layer; the result is a new layer.",
            name,
        )
        procedure.set_attribution("imrestore", "imrestore, MIT", "2026")
        shares = (
            ("strength", "_Strength", "Share of the denoised result", 1.0),
            ("detail", "_Detail", "Share of the finest texture that is put back", 0.0),
        )
        for key, label, blurb, default in shares:
            procedure.add_double_argument(
                key, label, blurb, 0.0, 1.0, default, GObject.ParamFlags.READWRITE
            )
        procedure.add_double_argument(
            "sigma", "_Noise level", "In 0..255; 0 finds out by itself", 0.0, 255.0, 0.0,
            GObject.ParamFlags.READWRITE,
        )  # fmt: skip
        procedure.add_string_argument(
            "command", "_Command", "Name or path of imrestore", "imrestore",
            GObject.ParamFlags.READWRITE,
        )  # fmt: skip
        return procedure

    def denoise(self, procedure, run_mode, image, drawables, config, _data):
        """Ask for settings where a person is there, then denoise the selected layer."""
        if len(drawables) != 1 or not isinstance(drawables[0], Gimp.Layer):
            return _ended(procedure, "Select one layer, not a mask and not several layers.")
        if run_mode == Gimp.RunMode.INTERACTIVE:
            GimpUi.init(NAME)
            dialog = GimpUi.ProcedureDialog.new(procedure, config, "Denoise with imrestore")
            dialog.fill(None)
            if not dialog.run():
                return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())
        with tempfile.TemporaryDirectory() as folder:
            source, result = Path(folder, "layer.tif"), Path(folder, "denoised.tif")
            _save_alone(drawables[0], image, source)
            settings = {key: config.get_property(key) for key in ("strength", "detail", "sigma")}
            words = command_line(config.get_property("command"), source, result, **settings)
            Gimp.progress_init("Denoising")
            problem = run(words)
            if problem:
                return _ended(procedure, problem)
            _insert_above(drawables[0], image, result)
        Gimp.displays_flush()
        return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())


def _save_alone(layer, image, path):
    """Write one layer at the precision and with the profile of its image."""
    alone = Gimp.Image.new_with_precision(
        layer.get_width(), layer.get_height(), image.get_base_type(), image.get_precision()
    )
    try:
        profile = image.get_color_profile()
        if profile is not None:
            alone.set_color_profile(profile)
        copy = Gimp.Layer.new_from_drawable(layer, alone)
        alone.insert_layer(copy, None, 0)
        copy.set_offsets(0, 0)
        file = Gio.File.new_for_path(str(path))
        Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, alone, file, None)
    finally:
        alone.delete()


def _insert_above(layer, image, path):
    """Insert the picture of a file as a layer above ``layer``, at the same place."""
    image.undo_group_start()
    try:
        file = Gio.File.new_for_path(str(path))
        denoised = Gimp.file_load_layer(Gimp.RunMode.NONINTERACTIVE, image, file)
        denoised.set_name(f"{layer.get_name()}, denoised")
        image.insert_layer(denoised, layer.get_parent(), image.get_item_position(layer))
        _, left, top = layer.get_offsets()
        denoised.set_offsets(left, top)
    finally:
        image.undo_group_end()


def _ended(procedure, message):
    error = GLib.Error(f"imrestore: {message}")
    return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)


Gimp.main(ImrestoreDenoise.__gtype__, sys.argv)
