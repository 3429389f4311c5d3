-- Names for objects that were given none.
--
-- Asked    when an object is made without metadata.name: a backup of an image (`drover backup create image`, or a
--          BackupBackingImage without a name), an image (a BackingImage with generateName, or without any name).
-- In       ctx.kind           "backupbackingimage" or "backingimage": what is being named
--          ctx.generate_name  metadata.generateName, or nil
--          ctx.source         what it is made from, or nil: kind, name, labels, size, checksum
--          ctx.labels         the new object's labels
--          ctx.now            seconds since 1970; ctx.now_iso the same as text
--          ctx.host, ctx.job  where, and for which job
-- Out      { name = "…" }     by the rules of names: 2 or more of a-z 0-9 _ . - with a letter or digit first.
--                             A name that is taken gets -2, -3, and so on.
--          {}                 the built-in name.
--
-- This one leaves all names as they are: a backup of an image is called as the image is, and IMAGE-TARGET on another
-- target than the default; an image gets its generateName, or "backingimage-", and eight random digits behind it.
-- examples/ has a scheme with dates. Copy what you want to a folder of your own, and give that to `droverd --hooks`.

return {
  api = 1,

  naming = function(ctx)
    return {}
  end,
}
