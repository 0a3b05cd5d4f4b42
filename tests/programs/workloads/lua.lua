-- Tables, closures, coroutines and strings, with the collector in both of its modes: every object
-- of Lua is one realloc call, of exactly the bytes that it needs.
local seed = 2024
local function rnd(n)
	seed = (seed * 1103515245 + 12345) & 0x7fffffff
	return (seed >> 8) % n
end

local function tree(depth)
	if depth == 0 then return { value = rnd(1000) } end
	return { tree(depth - 1), tree(depth - 1), name = "n" .. depth }
end

local function sum(t)
	if t.value then return t.value end
	return sum(t[1]) + sum(t[2])
end

for _, mode in ipairs { "incremental", "generational" } do
	collectgarbage(mode)
	local total = 0
	for _ = 1, 12 do total = total + sum(tree(14)) end
	print(mode, total)

	local words = {}
	for _ = 1, 400000 do
		local k = rnd(50000)
		words[k] = (words[k] or "") .. string.char(97 + rnd(26))
		if rnd(20) == 0 then words[rnd(50000)] = nil end
	end
	local lengths, count = 0, 0
	for _, w in pairs(words) do lengths, count = lengths + #w, count + 1 end
	print(count, lengths)

	local list = {}
	for i = 1, 200000 do list[i] = ("%08d"):format(rnd(100000000)) end
	table.sort(list)
	print(list[1], list[100000], list[200000], #table.concat(list, ","))

	local threads = {}
	for i = 1, 5000 do
		threads[i] = coroutine.wrap(function(a)
			for j = 1, 5 do a = a + coroutine.yield(a .. ":" .. j) end
			return a
		end)
	end
	local bytes = 0
	for _ = 1, 5 do
		for i = 1, 5000 do bytes = bytes + #tostring(threads[i](i)) end
	end
	print(bytes)

	local big = string.rep("slab", 1 << 20)
	print(#big, #big:gsub("ab", "abc"), select(2, big:gsub("sl", "")))
end
