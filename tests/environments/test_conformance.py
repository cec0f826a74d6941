"""`environments.check` finds each kind of mistake, and none in families that are well."""
