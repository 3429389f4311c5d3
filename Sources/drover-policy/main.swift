import LuaHost

PolicyProgram.run()
