-- Names that say what was made from what, on which day.
--
-- Asked    when an object is made without metadata.name.
-- In       ctx.kind, ctx.source (nil where there is none), ctx.generate_name, ctx.now_iso
-- Out      { name = "parrot-20251124" } for a backup of the image parrot, or a clone of it
--          {} (the built-in name) for what is made from nothing that has a name
--
-- A second one on the same day gets -2 behind its name. In a store an image has one backup whatever this object is
-- called, so a backup that is there is updated and not named again.

local function day(ctx)
  local year, month, day = ctx.now_iso:match("^(%d+)-(%d+)-(%d+)T")
  return year .. month .. day
end

-- Longest name of an image in a store, less the date and a number behind it.
local room = 64 - #"-20251124-99"

return {
  api = 1,

  naming = function(ctx)
    local base = ctx.generate_name or (ctx.source and ctx.source.name)
    if not base then
      return {}
    end
    base = base:lower():gsub("[^a-z0-9_.-]", "-"):gsub("[-_.]+$", ""):sub(1, room)
    return { name = base .. "-" .. day(ctx) }
  end,
}
