-- Labels that say what an image was when it was backed up.
--
-- Asked    once for each backup, right before its job starts.
-- In       ctx.source: name, labels, size in bytes, checksum (nil where it is not known); ctx.host; ctx.labels
-- Out      set:   image.drover/name, image.drover/size-gib, image.drover/sha512 (the first 16 digits), drover/host,
--                 and each label of the image whose key begins with "team" or "os", where the backup has none
--          unset: labels whose keys begin with "tmp"

local function begins(text, start)
  return text:sub(1, #start) == start
end

return {
  api = 1,

  labels = function(ctx)
    local set, unset = {}, {}
    local image = ctx.source
    if image then
      set["image.drover/name"] = image.name
      if image.size then
        set["image.drover/size-gib"] = string.format("%.1f", image.size / (1 << 30))
      end
      if image.checksum then
        set["image.drover/sha512"] = image.checksum:sub(1, 16)
      end
      for key, value in pairs(image.labels) do
        if (begins(key, "team") or begins(key, "os")) and not ctx.labels[key] then
          set[key] = value
        end
      end
    end
    set["drover/host"] = ctx.host
    for key in pairs(ctx.labels) do
      if begins(key, "tmp") then
        unset[#unset + 1] = key
      end
    end
    return { set = set, unset = unset }
  end,
}
