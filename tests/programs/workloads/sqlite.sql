-- :rows rows by a fixed linear congruence, indexes, and queries that must sort and group.
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE item (id INTEGER PRIMARY KEY, k INTEGER, name TEXT, body BLOB);
WITH RECURSIVE seq (i, x) AS (
	SELECT 1, 12345
	UNION ALL
	SELECT i + 1, (x * 1103515245 + 12345) & 2147483647 FROM seq WHERE i < :rows
)
INSERT INTO item
SELECT i, x >> 8, printf('item-%d', x % 50021), zeroblob(x % 37) FROM seq;
CREATE INDEX item_k ON item (k);
CREATE INDEX item_name ON item (name, id);
ANALYZE;
SELECT count(*), sum(k), sum(length(body)), count(DISTINCT name) FROM item;
SELECT name, count(*), min(k), max(k) FROM item GROUP BY name ORDER BY 2 DESC, 1 LIMIT 20;
SELECT id, k FROM item WHERE k BETWEEN 1000000 AND 1000500 ORDER BY k, id;
SELECT count(*), total(a.k) FROM item AS a JOIN item AS b ON b.name = a.name AND b.id = a.id + 50021;
UPDATE item SET name = name || '-' || (k % 97) WHERE id % 5 = 0;
DELETE FROM item WHERE id % 7 = 0;
SELECT substr(group_concat(name, ';'), 1, 2000)
FROM (SELECT name FROM item ORDER BY name DESC, id LIMIT 20000);
SELECT count(*), length(group_concat(name)) FROM item;
PRAGMA integrity_check;
