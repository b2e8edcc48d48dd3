-- SPDX-License-Identifier: GPL-2.0-only
--
-- One line: "sound ROWS", or what is wrong. All of it is read in one
-- transaction, so that a writer may go on meanwhile.
BEGIN;
WITH
found(integrity, entries, last, changes, wrong) AS MATERIALIZED (SELECT
	(SELECT group_concat(integrity_check) FROM pragma_integrity_check),
	(SELECT count(*) FROM entry),
	(SELECT coalesce(max(n), 0) FROM entry),
	(SELECT sum(version) FROM stock),
	(SELECT count(*) FROM entry WHERE data IS NOT
	 replace(hex(zeroblob(10)), '00', hex(sha3(n || '', 512)))) +
	(SELECT count(*) FROM stock WHERE data IS NOT
	 replace(hex(zeroblob(10)), '00', hex(sha3(n || '/' || version, 512)))))
SELECT CASE
	WHEN integrity = 'ok' AND entries = last AND entries = changes AND
	     wrong = 0
	THEN 'sound ' || entries
	ELSE 'DAMAGED: integrity ' || integrity || ', ' || entries ||
	     ' rows, last ' || last || ', ' || changes || ' changes, ' ||
	     wrong || ' rows with wrong data'
	END
FROM found;
COMMIT;
