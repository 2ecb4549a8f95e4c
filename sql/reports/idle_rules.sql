-- Rules in force that no row has matched, as far back as the counts go: a misspelt event, or nothing happened.
SELECT r.name AS rule,
       r.event,
       r.service,
       r.updated_at AS in_force_since
  FROM mih_rules r
  LEFT JOIN mih_counts c ON c.rule = r.name
 WHERE c.rule IS NULL
 ORDER BY r.name
