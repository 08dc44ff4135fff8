-- Prose from a number: the same number always gives the same sentence, on every PostgreSQL from 13 on.
-- Compresses about as well as written text does (zstd -3: three to four times), which repeated text would not.
CREATE SCHEMA sample_build;

CREATE FUNCTION sample_build.sentence(n bigint) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    openings CONSTANT text[] := ARRAY[
        'In this unit', 'Before the exam', 'As the diagram shows', 'Remember that', 'In practice', 'For most learners', 'Historically',
        'By contrast', 'In the laboratory', 'During revision', 'At this level', 'Unlike the first chapter', 'For example', 'In short',
        'When in doubt', 'With a partner', 'After the lecture', 'On closer reading', 'According to the survey', 'Step by step',
        'In other words', 'To begin with', 'As a rule of thumb', 'Over the term', 'In the second reading', 'On the whiteboard',
        'Without a calculator', 'From memory', 'In everyday life', 'At first sight', 'In the worked answer', 'For homework'];
    describing CONSTANT text[] := ARRAY[
        'careful', 'simple', 'surprising', 'abstract', 'visual', 'common', 'early', 'modern', 'linear', 'critical', 'local', 'global',
        'balanced', 'chemical', 'historical', 'numerical', 'typical', 'subtle', 'practical', 'formal', 'bilingual', 'dynamic', 'static',
        'narrow', 'broad', 'reliable', 'biased', 'random', 'natural', 'artificial', 'moral', 'economic', 'rural', 'urban', 'coastal',
        'ancient', 'medieval', 'digital', 'written', 'spoken', 'musical', 'optical', 'thermal', 'organic', 'inverse', 'parallel',
        'recursive', 'discrete', 'continuous', 'open', 'closed', 'relative', 'absolute', 'shared', 'individual', 'weekly', 'final',
        'draft', 'peer', 'guided', 'silent', 'quick', 'detailed', 'partial'];
    things CONSTANT text[] := ARRAY[
        'photosynthesis', 'fraction', 'equation', 'paragraph', 'treaty', 'molecule', 'enzyme', 'vector', 'sonnet', 'argument', 'market',
        'glacier', 'circuit', 'theorem', 'metaphor', 'parliament', 'isotope', 'chromosome', 'river', 'migration', 'ratio', 'integral',
        'algorithm', 'dialogue', 'experiment', 'hypothesis', 'source', 'timeline', 'graph', 'sample', 'mean', 'median', 'variance',
        'lever', 'lens', 'wave', 'membrane', 'volcano', 'empire', 'revolution', 'constitution', 'budget', 'inflation', 'supply',
        'narrator', 'verb', 'accent', 'chord', 'rhythm', 'perspective', 'portfolio', 'rubric', 'outline', 'flashcard', 'summary',
        'quotation', 'footnote', 'survey', 'interview', 'case study', 'prototype', 'protocol', 'reaction', 'ecosystem'];
    doing CONSTANT text[] := ARRAY[
        'explains', 'depends on', 'limits', 'predicts', 'contradicts', 'illustrates', 'replaces', 'measures', 'describes', 'compares',
        'supports', 'changes', 'precedes', 'follows', 'balances', 'amplifies', 'reduces', 'defines', 'questions', 'confirms',
        'resembles', 'produces', 'absorbs', 'reflects', 'organises', 'introduces', 'revises', 'tests', 'assumes', 'requires',
        'simplifies', 'divides'];
    endings CONSTANT text[] := ARRAY[
        'most of the time', 'under pressure', 'in three steps', 'at constant temperature', 'without loss', 'in the long run',
        'for every learner', 'in the northern hemisphere', 'by definition', 'on average', 'to a first approximation', 'in each group',
        'at the border', 'after the war', 'before harvest', 'in the margin', 'within an hour', 'per unit of time', 'with few exceptions',
        'as the text suggests', 'in the appendix', 'against expectation', 'in both languages', 'by a factor of two', 'once a week',
        'if the data allow it', 'at low cost', 'in the open air', 'at small scale', 'in principle', 'in the end', 'once again'];
    h CONSTANT bigint := hashint8extended(n, 20240731) & 9223372036854775807;
BEGIN
    RETURN openings[1 + (h & 31)] || ', the ' || describing[1 + ((h >> 5) & 63)] || ' ' || things[1 + ((h >> 11) & 63)] || ' '
        || doing[1 + ((h >> 17) & 31)] || ' the ' || describing[1 + ((h >> 22) & 63)] || ' ' || things[1 + ((h >> 28) & 63)] || ' '
        || endings[1 + ((h >> 34) & 31)] || CASE WHEN (h >> 39) & 3 = 0 THEN ' (see page ' || ((h >> 41) & 511) || ')' ELSE '' END || '. ';
END
$$;

CREATE FUNCTION sample_build.word(n bigint) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (ARRAY['algebra', 'biology', 'chemistry', 'drama', 'economics', 'french', 'geometry', 'history', 'informatics', 'japanese', 'kinetics',
        'latin', 'music', 'nutrition', 'optics', 'physics', 'quantum theory', 'rhetoric', 'statistics', 'theatre', 'urbanism', 'virology',
        'writing', 'zoology', 'astronomy', 'botany', 'calculus', 'design', 'ethics', 'folklore', 'genetics', 'hydrology'])
        [1 + (hashint8extended(n, 7) & 31)]
$$;

-- `sentences` sentences with the numbers from `first` on, as paragraphs of five.
CREATE FUNCTION sample_build.prose(first bigint, sentences integer) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    body text := '';
BEGIN
    FOR i IN 0 .. sentences - 1 LOOP
        body := body || sample_build.sentence(first + i) || CASE WHEN i % 5 = 4 THEN E'\n\n' ELSE '' END;
    END LOOP;
    RETURN body;
END
$$;
