import ChildProtocol
import DroverModel
import LinuxSystem
import LuaHost
import Testing

/// Scripts that want to stay, to grow or to get out. None may hang or crash this process: they run in it.
@Suite struct HostileScriptTests {
  @Test(arguments: [
    "while true do end",
    "repeat until false",
    "local function f() return f() end return f()",
    "::again:: goto again",
    "while true do pcall(function() while true do end end) end",
    "pcall(pcall, function() while true do end end) return { name = 'swallowed' }",
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "xpcall(error, function() while true do end end)",
    "local function f() pcall(f) pcall(f) end f() while true do f() end",
    "local t <close> = setmetatable({}, { __close = function() while true do end end }) while true do end",
    "for i = 1, 1e9 do local t <close> = setmetatable({}, { __close = function() while true do end end }) end",
    "return setmetatable({}, { __index = function(t, k) while true do end end }).x",
    "return setmetatable({}, { __tostring = function() while true do end end }) .. tostring(setmetatable({}, "
      + "{ __tostring = function() while true do end end }))",
    "local t = setmetatable({}, { __lt = function() while true do end end }) return t < t",
    "local t = {} for i = 1, 100 do t[i] = i end while true do table.sort(t, function() return true end) end",
    "table.sort({ 3, 2, 1 }, function() while true do end end)",
    "string.gsub('x', 'x', function() while true do end end)",
    // Loops inside the library, where no instruction is counted.
    "return ('a'):rep(200):find(('a?'):rep(60) .. ('a'):rep(60) .. 'b')",
    "return ('a'):rep(100):find(('.-'):rep(30) .. 'b')",
    "return ('x'):rep(20000):find('(.-)(.-)(.-)(.-)y')",
    "return ('a'):rep(30000):find('(a*)*%1b.-.-.-.-c')",
    "return ('('):rep(30000):gsub('%b()', '')",
    "return ('a'):rep(20000):gsub('.-b', '')",
    "for w in ('a'):rep(20000):gmatch('(a*).-.-.-b') do end",
    "return ('x'):rep(100):match('[' .. ('a-b'):rep(5000) .. ']*.*.*.*.*.*y')",
    "table.move({}, 1, math.maxinteger - 1, 2)",
    "table.move({}, math.mininteger, -2, 1, {})",
    "return table.concat({}, '', 1, 0) .. ('').rep('', 1 << 62) .. tostring(nil), (function() while true do end end)()",
    "local t = {} for i = 0, 61 do t[1 << i] = 1 end table.insert(t, 1, 'x') while true do table.insert(t, 1, 'x') end",
    "local t = {} for i = 1, 5000 do t[i] = i end while true do for k in pairs(t) do break end end",
    "local t = {} for i = 1, 5000 do t['k' .. i] = i end while true do next(t) end",
    "local s = ('x'):rep(1000000) while true do s:upper():lower():reverse() end",
    "local s = ('x'):rep(1000000) while true do string.format('%s', s) end",
    "while true do print(('x'):rep(100000)) end",
    "coroutine = nil while true do end",
  ])
  func endlessLoops(body: String) {
    let failure = Asking.naming(body).failure()
    #expect(failure?.reason == .instructions, "\(failure.map(\.message) ?? "no failure")")
  }

  @Test(arguments: [
    "return ('x'):rep(1 << 40)",
    "return ('x'):rep(100 * 1024 * 1024)",
    "return ('x'):rep(1 << 30, 'y')",
    "local s = 'x' while true do s = s .. s end",
    "local t = {} for i = 1, math.maxinteger do t[i] = { i } end",
    "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
    "local function f(n) return 1 + f(n + 1) end f(1)",
    "local t = {} for i = 1, 1000000 do t[i] = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' end return table.concat(t, ('y'):rep(1000))",
    "return ('x'):rep(1000000):gsub('.', ('y'):rep(10000))",
    "return ('x'):rep(1000):gsub('.', ('%0'):rep(100000))",
    "pcall(string.rep, 'x', 1 << 40) return { name = 'swallowed' }",
    "pcall(function() local s = 'x' while true do s = s .. s end end) return { name = 'swallowed' }",
    "xpcall(string.rep, function() return 1 end, 'x', 1 << 40) return { name = 'swallowed' }",
    "while true do pcall(function() local t = {} for i = 1, 1e9 do t[i] = {} end end) end",
    "local t <close> = setmetatable({}, { __close = function() error('hidden') end }) return ('x'):rep(1 << 40)",
    "local f = '' for i = 1, 200 do f = f .. '%99.99f' end local t = {} for i = 1, 1e6 do t[i] = f:format(table.unpack({}, 1, 0)) end",
  ])
  func memoryBombs(body: String) {
    let failure = Asking.naming(body, instructions: 50_000_000).failure()
    // Some are as well refused for another reason first; none is taken.
    #expect(failure != nil)
    #expect([.memory, .runtime].contains(failure?.reason), "\(failure.map(\.message) ?? "no failure")")
    if !body.contains("table.unpack") && !body.contains("f(n + 1)") {
      #expect(failure?.reason == .memory, "\(failure.map(\.message) ?? "no failure")")
    }
  }

  @Test func theClockEndsWhatTheCountDoesNot() {
    let start = BootClock.seconds()
    let failure = Asking.naming("while true do end", instructions: .max, milliseconds: 50).failure()
    #expect(failure?.reason == .deadline)
    #expect(BootClock.seconds() - start < 30)
    // Each call copies more than the one before it.
    let arguments = Asking.naming(
      "local function f(...) return f(1, ...) end f()", instructions: .max, milliseconds: 50
    ).failure()
    #expect(arguments?.reason == .deadline)
    let pattern = Asking.naming(
      "return ('a'):rep(200):find(('a?'):rep(60) .. ('a'):rep(60) .. 'b')", instructions: .max, milliseconds: 50
    ).failure()
    #expect(pattern?.reason == .deadline)
  }

  @Test func loadingIsLimitedToo() {
    for source in ["while true do end", "local function f() while true do end end pcall(f) return { api = 1 }"] {
      let failure = #expect(throws: PolicyFailure.self) { try Asking(source).inspected() }
      #expect(failure?.reason == .instructions)
    }
    #expect(throws: PolicyFailure.self) {
      try Asking("return " + String(repeating: "(", count: 100_000)).inspected()
    }
    #expect(throws: PolicyFailure.self) {
      try Asking("return { api = 1, " + String(repeating: "naming = function() end, ", count: 100_000) + "}")
        .inspected()
    }
    let tiny = #expect(throws: PolicyFailure.self) {
      try Asking("return { api = 1, naming = function() end }", memory: 100).inspected()
    }
    #expect(tiny?.reason == .memory)
    for memory in stride(from: 1000, to: 60_000, by: 777) {
      // Somewhere on this way it becomes enough; before that every step fails in turn, and none of them otherwise.
      do { _ = try Asking("return { api = 1, naming = function() end }", memory: memory).inspected() } catch {
        #expect((error as? PolicyFailure)?.reason == .memory)
      }
    }
  }

  @Test(arguments: [
    "os", "io", "debug", "package", "require", "load", "loadfile", "dofile", "loadstring", "collectgarbage",
    "coroutine", "utf8", "warn", "string.dump", "string.pack", "string.unpack", "math.random", "math.randomseed",
  ])
  func whatIsNotThere(name: String) throws { #expect(try Asking.value("type(\(name))") == "nil") }

  @Test func whatIsThere() throws {
    let globals = try Asking.value("local n = {} for k in pairs(_G) do n[#n + 1] = k end return { n = n }")
    #expect(
      globals["n"]?.array?.compactMap(\.string) == [
        "_G", "_VERSION", "assert", "error", "getmetatable", "ipairs", "math", "next", "pairs", "pcall", "print",
        "rawequal", "rawget", "rawlen", "rawset", "select", "setmetatable", "string", "table", "tonumber", "tostring",
        "type", "xpcall",
      ])
  }

  @Test func bytecodeIsRefused() {
    let failure = #expect(throws: PolicyFailure.self) { try Asking("\u{1b}LuaT\u{0}").inspected() }
    #expect(failure?.reason == .syntax)
  }

  @Test func whatIsChangedStaysChangedForItselfOnly() throws {
    let vandal = Asking.naming(
      """
      for k in pairs(_G) do if k ~= "string" and k ~= "_G" then _G[k] = nil end end
      string.format, string.rep = nil, nil
      _ENV = nil
      """)
    #expect(try vandal.answer() == .null)
    #expect(try Asking.value("string.format('%d', 7) .. tostring(1)") == "71")
  }

  @Test func theMetatableOfStringsIsProtected() throws {
    #expect(try Asking.value("getmetatable('')") == false)
    #expect(try Asking.value("pcall(setmetatable, '', {})") == false)
    #expect(try Asking.value("('x'):rep(3)") == "xxx")
  }

  @Test(arguments: ["__gc", "__mode"])
  func whatCollectionWouldShow(field: String) {
    #expect(Asking.naming("setmetatable({}, { \(field) = 'k' })").failure()?.message.contains(field) == true)
    // Put there later it has no effect: Lua looks for it only when the metatable is set.
    let later = "local m = {} local t = setmetatable({}, m) m.__gc = function() while true do end end t = nil "
    let made = Asking.naming(later + "for i = 1, 20000 do local x = {} end return {}").failure()
    #expect(made == nil)
  }

  @Test(arguments: [
    ("local t = {} t.t = t return t", "it returned a table that is cyclic, or deeper than 32 levels"),
    (
      "local t = {} for i = 1, 40 do t = { t } end return t",
      "it returned a table that is cyclic, or deeper than 32 levels"
    ),
    ("local t = { 1 } for i = 1, 30 do t = { t, t } end return t", "it returned more than 1048576 bytes"),
    ("return { name = ('x'):rep(2000000) }", "it returned more than 1048576 bytes"),
    ("return { name = print }", "it returned a function where a plain value is expected"),
    ("return { [1.5] = 1 }", "it returned a table with a key that is neither a string nor an index from 1 on"),
    ("return { [{}] = 1 }", "it returned a table with a key that is neither a string nor an index from 1 on"),
    ("return { 1, 2, x = 3 }", "it returned a table that is neither an array without gaps nor all names"),
    ("return { 1, nil, 3 }", "it returned a table that is neither an array without gaps nor all names"),
    ("return { [math.maxinteger] = 3 }", "it returned a table that is neither an array without gaps nor all names"),
    ("return { n = 0/0 }", "it returned a number that is not finite"),
    ("return { n = math.huge }", "it returned a number that is not finite"),
    ("return { name = '\\xff\\xfe' }", "naming returned a string that is not UTF-8"),
  ])
  func answersThatAreNone(body: String, message: String) {
    #expect(Asking.naming(body).failure() == PolicyFailure(.document, "hook.lua: \(message)"))
  }

  @Test func metatablesOfAnAnswerDoNothing() throws {
    let body = "return setmetatable({ name = 'a' }, { __index = error, __pairs = error, __len = error })"
    #expect(try Asking.naming(body).answer() == ["name": "a"])
  }

  @Test func aContextThatIsTooMuch() {
    var deep: JSONValue = 1
    for _ in 0..<40 { deep = [deep] }
    #expect(Asking.naming("return {}").failure(deep)?.reason == .document)
    #expect(
      Asking.naming("return {}").failure(["x": .string(String(repeating: "x", count: 2 << 20))])?.reason == .document)
  }
}
