import Testing

/// Everything that starts real daemons: one at a time, since each test is measured against deadlines.
@Suite(.serialized) enum EndToEnd {}
