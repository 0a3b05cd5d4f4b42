SELECT sum(abalance), count(*) FROM pgbench_accounts;
SELECT sum(bbalance), count(*) FROM pgbench_branches;
SELECT sum(tbalance), count(*) FROM pgbench_tellers;
SELECT sum(delta), count(*) FROM pgbench_history;
CREATE TABLE item AS
SELECT i, md5(i::text) AS name, (i::bigint * 7919) % 10007 AS k, repeat('x', i % 300) AS body
FROM generate_series(1, 100000) AS i;
CREATE INDEX ON item (name);
CREATE INDEX ON item USING hash (k);
ANALYZE item;
SET work_mem = '1MB';
SELECT k, count(*), min(name), max(length(body)) FROM item GROUP BY k ORDER BY 2 DESC, 1 LIMIT 10;
SELECT count(*), sum(a.i) FROM item AS a JOIN item AS b ON a.k = b.k AND a.i < b.i;
SET work_mem = '64MB';
SELECT md5(string_agg(name, ',' ORDER BY body DESC, name)) FROM item;
SELECT length(json_agg(item)::text) FROM item WHERE i <= 30000;
SELECT count(*) FROM regexp_matches((SELECT string_agg(name, ' ') FROM item WHERE i < 20000), '[a-f]{3}[0-9]', 'g');
UPDATE item SET body = upper(body) || k WHERE i % 3 = 0;
DELETE FROM item WHERE i % 4 = 0;
VACUUM item;
SELECT count(*), sum(hashtext(name || body)::bigint) FROM item;
