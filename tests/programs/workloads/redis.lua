-- Run by the server's own Lua, whose objects are malloc's as well.
local seed = 5
local function rnd(n)
	seed = (seed * 16807) % 2147483647
	return seed % n
end

local bytes = 0
for i = 1, 60000 do
	local key = "lua:" .. rnd(10000)
	redis.call("SETRANGE", key, rnd(100), string.rep("y", rnd(50)))
	if rnd(4) == 0 then redis.call("DEL", "lua:" .. rnd(10000)) end
	if rnd(3) == 0 then bytes = bytes + #redis.call("GETRANGE", key, 0, -1) end
end
return bytes
