import ChildProtocol
import DroverModel
import LuaHost
import Testing

/// What scripts rely on of Lua's library, where it is not Lua's own. The expected values are those of Lua 5.4.
@Suite struct LibraryTests {
  @Test(
    arguments: [
      ("('hello world'):find('wor')", 7), ("('hello'):find('l+')", 3), ("('hello'):find('xyz')", nil),
      ("('a.b'):find('.', 1, true)", 2), ("('abc'):find('b', -1)", nil), ("('abc'):find('', 4)", 4),
      ("('abc'):find('', 5)", nil), ("('  x'):match('^%s*(.-)%s*$')", "x"),
      ("('key = value'):match('(%w+) = %w+')", "key"),
      ("('2024-05-06'):match('%d+%-(%d+)')", "05"), ("('abc'):match('()c')", 3),
      ("('THE (quick) fox'):match('%((%a+)%)')", "quick"),
      ("('THE (quick) fox'):find('%f[%a]%a+%f[%A]')", 1), ("('f(a(b)c)d'):match('%b()')", "(a(b)c)"),
      ("('abcabc'):match('(abc)%1')", "abc"), ("('x^y'):match('[%^]y')", "^y"), ("('a-z'):match('[a-]+')", "a-"),
      ("(']'):match('[]]')", "]"), ("('abc'):match('[^a]+')", "bc"), ("('aXb'):match('%u')", "X"),
      ("('colour'):match('colou?r')", "colour"), ("('color'):match('colou?r$')", "color"), ("('a$'):match('a$')", nil),
      ("('abc'):gsub('%w', '%0%0')", "aabbcc"), ("('hello world'):gsub('o', '0', 1)", "hell0 world"),
      ("('$name is $age'):gsub('%$(%w+)', { name = 'x', age = 7 })", "x is 7"),
      ("('abc'):gsub('', '-')", "-a-b-c-"),
      ("('abc'):gsub('%w', function(c) if c == 'b' then return 'B' end end)", "aBc"),
      ("('a b'):gsub('^a', '%%')", "% b"), ("('abc'):sub(-2)", "bc"), ("('abc'):sub(2, 2)", "b"),
      ("('abc'):sub(5)", ""),
      ("('abc'):sub(0)", "abc"), ("('abc'):sub(-100, 1)", "a"), ("('abc'):byte(-1)", 99),
      ("string.char(104, 105)", "hi"), ("('aB'):upper()", "AB"),
      ("('aB'):lower()", "ab"), ("('abc'):reverse()", "cba"), ("('ab'):rep(3, ',')", "ab,ab,ab"), ("('ab'):rep(0)", ""),
      ("#('ab')", 2),
      (
        "('%5d|%-5s|%05.1f|%x|%%|%c|%+d|%.3s'):format(42, 'ab', 3.14159, 255, 65, 7, 'abcdef')",
        "   42|ab   |003.1|ff|%|A|+7|abc"
      ),
      ("('%s %s %s'):format(nil, true, 1.5)", "nil true 1.5"), ("('%10.4f'):format(1/3)", "    0.3333"),
      ("('%d'):format(3.0)", "3"),
      ("table.concat({ 1, 2, 'x' }, '-')", "1-2-x"), ("table.concat({}, '-')", ""),
      ("table.concat({ 1, 2, 3 }, ',', 2, 3)", "2,3"),
      ("select('#', table.unpack({ 1, 2, nil, 4 }, 1, 4))", 4), ("table.pack(1, nil, 3).n", 3), ("tostring(12)", "12"),
      ("tostring(1e15)", "1e+15"), ("math.type(3 // 1)", "integer"), ("next({})", nil), ("tonumber('0x10')", 16),
      ("#table.pack()", 0),
      ("select(2, pcall(error, 'x'))", "x"), ("select(2, xpcall(error, function(e) return e .. '!' end, 'x'))", "x!"),
      ("select(2, pcall(function() return 5 end))", 5),
      ("select(3, xpcall(function(a, b) return a, b end, print, 1, 2))", 2),
    ] as [(String, JSONValue)])
  func values(code: String, wanted: JSONValue) throws { #expect(try Asking.value(code) == wanted) }

  @Test(
    arguments: [
      ("local t = { 3, 1, 2 } table.sort(t) return t", [1, 2, 3]),
      ("local t = { 'b', 'a', 'C' } table.sort(t) return t", ["C", "a", "b"]),
      ("local t = { 1, 2, 3, 4, 5 } table.sort(t, function(a, b) return a > b end) return t", [5, 4, 3, 2, 1]),
      ("local t = { 1, 2 } table.insert(t, 3) table.insert(t, 1, 0) return t", [0, 1, 2, 3]),
      ("local t = { 1, 2, 3 } local x = table.remove(t, 1) table.remove(t, #t + 1) t[#t + 1] = x return t", [2, 3, 1]),
      ("return table.move({ 1, 2, 3 }, 1, 3, 2)", [1, 1, 2, 3]),
      ("return table.move({ 1, 2, 3 }, 2, 3, 1)", [2, 3, 3]),
      ("return table.move({ 1, 2 }, 1, 2, 1, {})", [1, 2]),
      ("local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v end return t", ["a1", "b2"]),
      ("local t = {} for w in ('one two'):gmatch('%a+') do t[#t + 1] = w end return t", ["one", "two"]),
      ("local t = {} for w in ('ab'):gmatch('') do t[#t + 1] = #w end return t", [0, 0, 0]),
      (
        "local t, r = { a = 1, b = 2, c = 3 }, {} for k, v in pairs(t) do t.b = nil r[#r + 1] = k .. v end return r",
        ["a1", "c3"]
      ),
      ("local r = {} for i, v in ipairs({ 'a', 'b', nil, 'd' }) do r[i] = v end return r", ["a", "b"]),
    ] as [(String, JSONValue)])
  func tables(code: String, wanted: JSONValue) throws { #expect(try Asking.value(code) == wanted) }

  @Test(arguments: [
    "('x'):rep('y')", "('x'):find('[a')", "('x'):find('%')", "('x'):find('(x')", "('x'):match('x)')",
    "('x'):find('%b')",
    "('x'):find('%f')", "('x'):find('%1')", "('x'):gsub('x', '%2')", "('x'):gsub('x', '%q')",
    "('x'):gsub('x', print)[1]",
    "('x'):gsub('x', { x = {} })", "('%d'):format('x')", "('%d'):format()", "('%p'):format({})", "('%q'):format(1)",
    "('%y'):format(1)",
    "('%123d'):format(1)", "('%d'):format(1.5)", "string.char(256)", "('x'):rep(33):find(('(x)'):rep(33))",
    "('x'):rep(300):find(('x-'):rep(250) .. 'y')",
    "table.concat({ {} })", "table.concat({ 1 }, '', 1, 3)", "table.insert({}, 5, 1)", "table.insert({}, 1, 2, 3)",
    "table.insert(1, 1)",
    "table.remove({ 1 }, 7)", "table.unpack({}, 1, 1e8)", "table.unpack({}, math.mininteger, math.maxinteger)",
    "table.sort({ 1, 'x' })",
    "table.sort({ 1, {} })", "table.sort({ 1, 2 }, 3)", "table.move({}, 1, math.maxinteger, 2)",
    "for k in pairs({ [print] = 1 }) do end",
    "next({ [{}] = 1 })", "pairs(nil)", "setmetatable({}, 1)",
    "setmetatable(setmetatable({}, { __metatable = 1 }), {})", "tostring()",
    "xpcall(print)", "pcall()", "('x'):byte(1, 2, 3)()",
    "tostring(setmetatable({}, { __tostring = function() return {} end }))",
    "local function f(x) return pcall(f, x) and x() end f(f)", "math.floor({})", "error()", "error(nil)",
    "assert(false)", "assert(nil, 'x')",
  ])
  func errors(code: String) {
    let failure = Asking.naming(code).failure()
    #expect([.runtime, .syntax].contains(failure?.reason), "\(failure.map(\.message) ?? "no failure")")
  }
}
