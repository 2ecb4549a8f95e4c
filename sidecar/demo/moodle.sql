-- The tables of Moodle 4.5 that the sidecar looks at, its column names, lengths and defaults, for SQLite.

CREATE TABLE mdl_course_categories (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name varchar(255) NOT NULL DEFAULT '',
  idnumber varchar(100) DEFAULT NULL,
  description TEXT DEFAULT NULL,
  descriptionformat INTEGER NOT NULL DEFAULT 0,
  parent INTEGER NOT NULL DEFAULT 0,
  sortorder INTEGER NOT NULL DEFAULT 0,
  coursecount INTEGER NOT NULL DEFAULT 0,
  visible INTEGER NOT NULL DEFAULT 1,
  visibleold INTEGER NOT NULL DEFAULT 1,
  timemodified INTEGER NOT NULL DEFAULT 0,
  depth INTEGER NOT NULL DEFAULT 0,
  path varchar(255) NOT NULL DEFAULT '',
  theme varchar(50) DEFAULT NULL
);
CREATE INDEX mdl_courcate_par_ix ON mdl_course_categories (parent);

CREATE TABLE mdl_course (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  category INTEGER NOT NULL DEFAULT 0,
  sortorder INTEGER NOT NULL DEFAULT 0,
  fullname varchar(254) NOT NULL DEFAULT '',
  shortname varchar(255) NOT NULL DEFAULT '',
  idnumber varchar(100) NOT NULL DEFAULT '',
  summary TEXT DEFAULT NULL,
  summaryformat INTEGER NOT NULL DEFAULT 0,
  format varchar(21) NOT NULL DEFAULT 'topics',
  showgrades INTEGER NOT NULL DEFAULT 1,
  newsitems INTEGER NOT NULL DEFAULT 1,
  startdate INTEGER NOT NULL DEFAULT 0,
  enddate INTEGER NOT NULL DEFAULT 0,
  relativedatesmode INTEGER NOT NULL DEFAULT 0,
  marker INTEGER NOT NULL DEFAULT 0,
  maxbytes INTEGER NOT NULL DEFAULT 0,
  legacyfiles INTEGER NOT NULL DEFAULT 0,
  showreports INTEGER NOT NULL DEFAULT 0,
  visible INTEGER NOT NULL DEFAULT 1,
  visibleold INTEGER NOT NULL DEFAULT 1,
  downloadcontent INTEGER DEFAULT NULL,
  groupmode INTEGER NOT NULL DEFAULT 0,
  groupmodeforce INTEGER NOT NULL DEFAULT 0,
  defaultgroupingid INTEGER NOT NULL DEFAULT 0,
  lang varchar(30) NOT NULL DEFAULT '',
  calendartype varchar(30) NOT NULL DEFAULT '',
  theme varchar(50) NOT NULL DEFAULT '',
  timecreated INTEGER NOT NULL DEFAULT 0,
  timemodified INTEGER NOT NULL DEFAULT 0,
  requested INTEGER NOT NULL DEFAULT 0,
  enablecompletion INTEGER NOT NULL DEFAULT 0,
  completionnotify INTEGER NOT NULL DEFAULT 0,
  cacherev INTEGER NOT NULL DEFAULT 0,
  originalcourseid INTEGER DEFAULT NULL,
  showactivitydates INTEGER NOT NULL DEFAULT 0,
  showcompletionconditions INTEGER DEFAULT NULL,
  pdfexportfont varchar(50) DEFAULT NULL
);
CREATE INDEX mdl_cour_cat_ix ON mdl_course (category);
CREATE INDEX mdl_cour_idn_ix ON mdl_course (idnumber);
CREATE INDEX mdl_cour_sho_ix ON mdl_course (shortname);
CREATE INDEX mdl_cour_sor_ix ON mdl_course (sortorder);
CREATE INDEX mdl_cour_ori_ix ON mdl_course (originalcourseid);

CREATE TABLE mdl_user (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  auth varchar(20) NOT NULL DEFAULT 'manual',
  confirmed INTEGER NOT NULL DEFAULT 0,
  policyagreed INTEGER NOT NULL DEFAULT 0,
  deleted INTEGER NOT NULL DEFAULT 0,
  suspended INTEGER NOT NULL DEFAULT 0,
  mnethostid INTEGER NOT NULL DEFAULT 0,
  username varchar(100) NOT NULL DEFAULT '',
  password varchar(255) NOT NULL DEFAULT '',
  idnumber varchar(255) NOT NULL DEFAULT '',
  firstname varchar(100) NOT NULL DEFAULT '',
  lastname varchar(100) NOT NULL DEFAULT '',
  email varchar(100) NOT NULL DEFAULT '',
  emailstop INTEGER NOT NULL DEFAULT 0,
  phone1 varchar(20) NOT NULL DEFAULT '',
  phone2 varchar(20) NOT NULL DEFAULT '',
  institution varchar(255) NOT NULL DEFAULT '',
  department varchar(255) NOT NULL DEFAULT '',
  address varchar(255) NOT NULL DEFAULT '',
  city varchar(120) NOT NULL DEFAULT '',
  country varchar(2) NOT NULL DEFAULT '',
  lang varchar(30) NOT NULL DEFAULT 'en',
  calendartype varchar(30) NOT NULL DEFAULT 'gregorian',
  theme varchar(50) NOT NULL DEFAULT '',
  timezone varchar(100) NOT NULL DEFAULT '99',
  firstaccess INTEGER NOT NULL DEFAULT 0,
  lastaccess INTEGER NOT NULL DEFAULT 0,
  lastlogin INTEGER NOT NULL DEFAULT 0,
  currentlogin INTEGER NOT NULL DEFAULT 0,
  lastip varchar(45) NOT NULL DEFAULT '',
  secret varchar(15) NOT NULL DEFAULT '',
  picture INTEGER NOT NULL DEFAULT 0,
  description TEXT DEFAULT NULL,
  descriptionformat INTEGER NOT NULL DEFAULT 1,
  mailformat INTEGER NOT NULL DEFAULT 1,
  maildigest INTEGER NOT NULL DEFAULT 0,
  maildisplay INTEGER NOT NULL DEFAULT 2,
  autosubscribe INTEGER NOT NULL DEFAULT 1,
  trackforums INTEGER NOT NULL DEFAULT 0,
  timecreated INTEGER NOT NULL DEFAULT 0,
  timemodified INTEGER NOT NULL DEFAULT 0,
  trustbitmask INTEGER NOT NULL DEFAULT 0,
  imagealt varchar(255) DEFAULT NULL,
  lastnamephonetic varchar(255) DEFAULT NULL,
  firstnamephonetic varchar(255) DEFAULT NULL,
  middlename varchar(255) DEFAULT NULL,
  alternatename varchar(255) DEFAULT NULL,
  moodlenetprofile varchar(255) DEFAULT NULL
);
CREATE UNIQUE INDEX mdl_user_mneuse_uix ON mdl_user (mnethostid,username);
CREATE INDEX mdl_user_del_ix ON mdl_user (deleted);
CREATE INDEX mdl_user_con_ix ON mdl_user (confirmed);
CREATE INDEX mdl_user_fir_ix ON mdl_user (firstname);
CREATE INDEX mdl_user_las_ix ON mdl_user (lastname);
CREATE INDEX mdl_user_cit_ix ON mdl_user (city);
CREATE INDEX mdl_user_cou_ix ON mdl_user (country);
CREATE INDEX mdl_user_las2_ix ON mdl_user (lastaccess);
CREATE INDEX mdl_user_ema_ix ON mdl_user (email);
CREATE INDEX mdl_user_aut_ix ON mdl_user (auth);
CREATE INDEX mdl_user_idn_ix ON mdl_user (idnumber);
CREATE INDEX mdl_user_fir2_ix ON mdl_user (firstnamephonetic);
CREATE INDEX mdl_user_las3_ix ON mdl_user (lastnamephonetic);
CREATE INDEX mdl_user_mid_ix ON mdl_user (middlename);
CREATE INDEX mdl_user_alt_ix ON mdl_user (alternatename);

CREATE TABLE mdl_context (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  contextlevel INTEGER NOT NULL DEFAULT 0,
  instanceid INTEGER NOT NULL DEFAULT 0,
  path varchar(255) DEFAULT NULL,
  depth INTEGER NOT NULL DEFAULT 0,
  locked INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX mdl_cont_conins_uix ON mdl_context (contextlevel,instanceid);
CREATE INDEX mdl_cont_ins_ix ON mdl_context (instanceid);
CREATE INDEX mdl_cont_pat_ix ON mdl_context (path);

CREATE TABLE mdl_logstore_standard_log (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  eventname varchar(255) NOT NULL DEFAULT '',
  component varchar(100) NOT NULL DEFAULT '',
  action varchar(100) NOT NULL DEFAULT '',
  target varchar(100) NOT NULL DEFAULT '',
  objecttable varchar(50) DEFAULT NULL,
  objectid INTEGER DEFAULT NULL,
  crud varchar(1) NOT NULL DEFAULT '',
  edulevel INTEGER NOT NULL,
  contextid INTEGER NOT NULL,
  contextlevel INTEGER NOT NULL,
  contextinstanceid INTEGER NOT NULL,
  userid INTEGER NOT NULL,
  courseid INTEGER DEFAULT NULL,
  relateduserid INTEGER DEFAULT NULL,
  anonymous INTEGER NOT NULL DEFAULT 0,
  other TEXT DEFAULT NULL,
  timecreated INTEGER NOT NULL,
  origin varchar(10) DEFAULT NULL,
  ip varchar(45) DEFAULT NULL,
  realuserid INTEGER DEFAULT NULL
);
CREATE INDEX mdl_logsstanlog_tim_ix ON mdl_logstore_standard_log (timecreated);
CREATE INDEX mdl_logsstanlog_couanotim_ix ON mdl_logstore_standard_log (courseid,anonymous,timecreated);
CREATE INDEX mdl_logsstanlog_useconconcr_ix ON mdl_logstore_standard_log (userid,contextlevel,contextinstanceid,crud,edulevel,timecreated);
CREATE INDEX mdl_logsstanlog_con_ix ON mdl_logstore_standard_log (contextid);
CREATE INDEX mdl_logsstanlog_use_ix ON mdl_logstore_standard_log (userid);
CREATE INDEX mdl_logsstanlog_cou_ix ON mdl_logstore_standard_log (courseid);
CREATE INDEX mdl_logsstanlog_rea_ix ON mdl_logstore_standard_log (realuserid);
CREATE INDEX mdl_logsstanlog_rel_ix ON mdl_logstore_standard_log (relateduserid);

CREATE TABLE mdl_config (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name varchar(255) NOT NULL DEFAULT '',
  value TEXT NOT NULL
);
CREATE UNIQUE INDEX mdl_conf_nam_uix ON mdl_config (name);

CREATE TABLE mdl_config_plugins (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  plugin varchar(100) NOT NULL DEFAULT 'core',
  name varchar(100) NOT NULL DEFAULT '',
  value TEXT NOT NULL
);
CREATE UNIQUE INDEX mdl_confplug_plunam_uix ON mdl_config_plugins (plugin, name);
