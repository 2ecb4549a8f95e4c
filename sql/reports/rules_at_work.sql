-- What became of the rows that each rule's events matched: queued, dead, held back by where, when or age.
SELECT rule,
       SUM(CASE WHEN what = 'queued' THEN n ELSE 0 END) AS queued,
       SUM(CASE WHEN what = 'dead' THEN n ELSE 0 END) AS dead,
       SUM(CASE WHEN what = 'where' THEN n ELSE 0 END) AS held_by_where,
       SUM(CASE WHEN what = 'when' THEN n ELSE 0 END) AS held_by_when,
       SUM(CASE WHEN what = 'too_old' THEN n ELSE 0 END) AS too_old,
       MAX(hour) AS last_hour
  FROM mih_counts
 GROUP BY rule
 ORDER BY rule
