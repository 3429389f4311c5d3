-- Labels of backups.
--
-- Asked    once for each backup, right before its job starts for the first time.
-- In       as for naming (see naming.lua); ctx.labels are the labels as they would be: those of spec.labels.
-- Out      { set = { key = "value" }, unset = { "key" } }: what to change of ctx.labels; either may be missing.
--          {} leaves them as they are.
--
-- The labels are written into the store with the backup. This policy leaves them as they are.

return {
  api = 1,

  labels = function(ctx)
    return {}
  end,
}
