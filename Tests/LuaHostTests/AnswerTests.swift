import ChildProtocol
import DroverModel
import LuaHost
import Testing

@Suite struct AnswerTests {
  @Test func aContextComesBackAsItWas() throws {
    let context: JSONValue = [
      "text": "käse \u{0} \"", "whole": 9_007_199_254_740_993, "half": .double(0.5), "yes": true, "no": false,
      "list": [1, "two", ["three": 3]], "labels": ["b": "2", "a": "1"], "nothing": nil, "empty": [:],
    ]
    var wanted = context.object!
    wanted["nothing"] = nil
    #expect(try Asking.naming("return ctx").answer(context) == .object(wanted))
    #expect(try Asking.naming("return nil").answer() == .null)
    #expect(try Asking.naming("return {}").answer() == [:])
    #expect(try Asking.naming("return { size = ctx.size + 1 }").answer(["size": 41]) == ["size": 42])
  }

  @Test func inspectingSaysWhatItHandles() throws {
    let source = "return { api = 1, labels = function() end, naming = function() end }"
    #expect(try Asking(source).inspected() == [.naming, .labels])
  }

  @Test(arguments: [
    ("return 1", "hook.lua: it must return a table such as { api = 1, naming = function(ctx) … end }, not a number"),
    ("", "hook.lua: it must return a table such as { api = 1, naming = function(ctx) … end }, not a nil"),
    ("return { naming = function() end }", "hook.lua: api = 1 is missing in the table that it returns"),
    ("return { api = 2, naming = function() end }", "hook.lua: api must be 1, the version of docs/hooks.md"),
    ("return { api = 1 }", "hook.lua: the table that it returns has no function for any point"),
    ("return { api = 1, naming = 'x' }", "hook.lua: naming must be a function, not a string"),
    (
      "return { api = 1, nameing = function() end }",
      "hook.lua: the table that it returns has the unknown key 'nameing'; known are api, naming, labels, retention and "
        + "attachment"
    ),
  ])
  func shapes(source: String, message: String) {
    let failure = #expect(throws: PolicyFailure.self) { try Asking(source).inspected() }
    #expect(failure == PolicyFailure(.shape, message))
  }

  @Test func errorsNameFileAndLine() {
    let syntax = #expect(throws: PolicyFailure.self) { try Asking("\n\nreturn { api = = 1 }").inspected() }
    #expect(syntax == PolicyFailure(.syntax, "hook.lua:3: unexpected symbol near '='", line: 3))
    let runtime = Asking("return { api = 1, naming = function(ctx)\n  return ctx.a.b\nend }").failure()
    #expect(
      runtime == PolicyFailure(.runtime, "hook.lua:2: attempt to index a nil value (field 'a')", line: 2))
    #expect(Asking.naming("error('no luck')").failure()?.message == "hook.lua:1: no luck")
    #expect(Asking.naming("error({})").failure()?.message == "hook.lua: it raised an error that is a table")
    #expect(Asking.naming("string.rep()").failure()?.line == 1)
    let loop = Asking("return { api = 1, naming = function(ctx)\n  while true do end\nend }").failure()
    #expect(loop == PolicyFailure(.instructions, "hook.lua:2: more than 1000000 instructions", line: 2))
  }

  @Test func printing() {
    guard case .answered(_, let printed) = Asking.naming("print('a', 1, {}, nil, true) print() return {}").report()
    else { return #expect(Bool(false)) }
    #expect(printed == "a\t1\ttable\tnil\ttrue\n\n")
    guard
      case .failed(_, let long) = Asking.naming("for i = 1, 5000 do print(i, ('x'):rep(100)) end error('e')").report()
    else { return #expect(Bool(false)) }
    #expect(long.utf8.count < 9000 && long.hasSuffix("(more was printed than is kept)\n"))
  }

  @Test func theSameQuestionHasTheSameAnswer() throws {
    let script = Asking.naming(
      """
      local t, seen = {}, {}
      for i = 1, 200 do t["k" .. (i * 7919) % 211] = i end
      t[3], t[1], t[2.5], t[true], t[false] = "c", "a", "b", "y", "n"
      for k, v in pairs(t) do seen[#seen + 1] = tostring(k) .. "=" .. tostring(v) end
      local k = next(t)
      while k ~= nil do seen[#seen + 1] = tostring(k) k = next(t, k) end
      return { seen = seen, shown = tostring(t) .. string.format("%s", print) }
      """)
    let first = try script.answer()
    #expect(try script.answer() == first)
    #expect(first["shown"] == "tablefunction")
    let seen = try #require(first["seen"]?.array).compactMap(\.string)
    #expect(seen.prefix(5) == ["1=a", "2.5=b", "3=c", "k1=130", "k10=34"])
    #expect(seen.count == 2 * 205 && seen.suffix(2) == ["false", "true"])
    #expect(try Asking.value("math.random == nil and math.randomseed == nil and collectgarbage == nil") == true)
  }
}
