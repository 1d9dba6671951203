--[[
imrestore for darktable: a target of the export module that denoises what darktable exports.

Copy this file to ~/.config/darktable/lua/ and add   require "imrestore"   to
~/.config/darktable/luarc. Then choose "denoise with imrestore" as target storage in the export
module, with a format of 16 bits such as TIFF. Results are written to the folder that is chosen
there, imported, and grouped with the photographs they were made of.

Switch off darktable's own "denoise (profiled)" for these photographs: the network expects noise
as the sensor made it.
]]

local dt = require "darktable"

local MODULE = "imrestore"
local TITLE = "denoise with imrestore"
-- A shell takes 128 KiB as one command on Linux, and 8 KiB on Windows.
local FILES_PER_RUN = 20

dt.preferences.register(MODULE, "command", "string", TITLE .. ": command",
  "the command, with its folder where it is not on the search path", "imrestore")

local target = dt.new_widget("file_chooser_button") {
  title = "folder for denoised photographs",
  is_directory = true,
  value = dt.preferences.read(MODULE, "target", "string"),
  changed_callback = function(self)
    dt.preferences.write(MODULE, "target", "string", self.value or "")
  end,
}

local function share(label, tooltip, default)
  return dt.new_widget("slider") {
    label = label,
    tooltip = tooltip,
    hard_min = 0, hard_max = 1, soft_min = 0, soft_max = 1, step = 0.05, digits = 2,
    value = default,
  }
end

local strength = share("strength", "share of the denoised result", 1)
local detail = share("detail", "share of the finest luminance texture that is put back", 0)

local function quoted(text)
  if dt.configuration.running_os == "windows" then
    return '"' .. text:gsub('"', '""') .. '"'
  end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function command_line(files)
  local words = {
    quoted(dt.preferences.read(MODULE, "command", "string")), "denoise", "--quiet",
    "--strength", string.format("%.2f", strength.value):gsub(",", "."),
    "--detail", string.format("%.2f", detail.value):gsub(",", "."),
    "--output", quoted(target.value), "--",
  }
  for _, file in ipairs(files) do
    table.insert(words, quoted(file))
  end
  return table.concat(words, " ")
end

local function result_of(file)
  return target.value .. "/" .. file:match("[^/\\]+$")
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- Renames an export where an earlier result has its name. So every result is a new file, and no
-- earlier one is imported in its place where the command fails.
local function with_new_result(file)
  local folder, name = file:match("^(.-)([^/\\]+)$")
  local stem, suffix = name:match("^(.+)(%.[^.]*)$")
  local new, number = file, 1
  while exists(result_of(new)) or (new ~= file and exists(new)) do
    new = string.format("%s%s_%02d%s", folder, stem or name, number, suffix or "")
    number = number + 1
  end
  if new ~= file then assert(os.rename(file, new)) end
  return new
end

local function denoise(photographs, files)
  for index, file in ipairs(files) do
    files[index] = with_new_result(file)
  end
  local code = dt.control.execute(command_line(files))
  if code ~= 0 then
    dt.print(MODULE .. ": exit code " .. tostring(code) .. "; the terminal of darktable tells more")
  end
  for index, file in ipairs(files) do
    if exists(result_of(file)) then
      local result = dt.database.import(result_of(file))
      result:group_with(photographs[index])
      os.remove(file)
    end
  end
end

-- Called once after the last photograph was exported: a network takes seconds to load.
local function finalize(_, exported)
  if (target.value or "") == "" then
    dt.print(MODULE .. ": choose a folder for the results first")
    return
  end
  local photographs, files = {}, {}
  for photograph, file in pairs(exported) do
    table.insert(photographs, photograph)
    table.insert(files, file)
    if #files == FILES_PER_RUN then
      denoise(photographs, files)
      photographs, files = {}, {}
    end
  end
  if #files > 0 then
    denoise(photographs, files)
  end
end

local function store(_, _, _, _, number, total)
  dt.print(string.format("%s: exporting %d of %d", MODULE, number, total))
end

dt.register_storage(MODULE, TITLE, store, finalize, nil, nil, dt.new_widget("box") {
  orientation = "vertical", target, strength, detail,
})

return {
  destroy = function() dt.destroy_storage(MODULE) end,
}
