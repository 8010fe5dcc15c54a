-- Files: writing, reading by lines, numbers and blocks, seeking, renaming, removing.
local file = assert(io.open("notes.txt", "w"))
for i = 1, 500 do file:write("line ", i, " ", i * i, "\n") end
print(file:seek("cur"), file:close(), io.type(file))

local count, sum = 0, 0
for line in io.lines("notes.txt") do
  count = count + 1
  sum = sum + tonumber(line:match("%d+$"))
end
print(count, sum)

file = assert(io.open("notes.txt", "r+"))
print(file:seek("end"), file:seek("set", 5), file:read("n"), file:read("n", "l"))
file:seek("set", 0)
file:write("LINE")
file:seek("set", 0)
print(file:read("L"), #file:read("a"))
print(file:read("a"), file:read("l"), file:read(0))
file:close()

file = assert(io.open("notes.txt", "a"))
file:setvbuf("full", 100)
file:write("the end\n")
file:close()
print(os.rename("notes.txt", "renamed.txt"), (io.open("notes.txt")))
print(#assert(io.open("renamed.txt")):read("a"))
local nothing, why = io.open("no/such/file") -- the third result numbers errors as the system does
print(nothing, why)
io.output("second.txt")
io.write(("x"):rep(70000))
io.close()
io.output(io.stdout)
print(#io.open("second.txt"):read("a"), os.remove("second.txt"), (io.open("second.txt")))
print(io.read("n", "l", "L", "a"))
