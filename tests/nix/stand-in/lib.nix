# The parts of nixpkgs' lib that the modules here use, and a small evaluator of modules: priorities, conditions, types,
# submodules. What it does not know it refuses, so that a misspelt option or a value of a wrong type is an error.
let
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    genList
    head
    isAttrs
    isFunction
    isList
    isPath
    isString
    length
    listToAttrs
    mapAttrs
    removeAttrs
    split
    stringLength
    substring
    tail
    zipAttrsWith
    ;

  isOf = kind: value: isAttrs value && (value._type or null) == kind;
  show = concatStringsSep ".";
  split' = text: genList (place: substring place 1 text) (stringLength text);
  gather = zipAttrsWith (_: values: values);

  # The values of a definition with their priorities: the lowest number wins.
  collect =
    priority: value:
    if isOf "if" value then
      if value.condition then collect priority value.content else [ ]
    else if isOf "merge" value then
      concatMap (collect priority) value.contents
    else if isOf "override" value then
      collect value.priority value.content
    else
      [ { inherit priority value; } ];

  # The value that the definitions of one option come to.
  settle =
    type: path: definitions:
    let
      lowest = foldl' (least: one: if one.priority < least then one.priority else least) 9999 definitions;
      winners = map (one: one.value) (filter (one: one.priority == lowest) definitions);
      wrong = filter (value: !type.check value) winners;
    in
    if definitions == [ ] then
      throw "The option `${show path}' was accessed but has no value defined."
    else if wrong != [ ] then
      throw "A definition for option `${show path}' is not of type `${type.name}'."
    else
      type.merge path winners;

  # Conditions around whole sets are conditions of each of their values.
  push =
    value:
    if isOf "if" value then
      map (mapAttrs (_: content: mkIf value.condition content)) (push value.content)
    else if isOf "merge" value then
      concatMap push value.contents
    else
      [ value ];

  # Configuration and declarations of modules, which may be files, functions or sets.
  evaluate =
    prefix: modules: arguments:
    let
      load =
        module:
        let
          content = if isPath module || isString module then import module else module;
          called =
            if isFunction content then content (arguments // { inherit lib config options; }) else content;
          isSplit = called ? options || called ? config;
          own = {
            options = if isSplit then called.options or { } else { };
            config = if isSplit then called.config or { } else removeAttrs called [ "imports" ];
          };
        in
        concatMap load (called.imports or [ ]) ++ [ own ];
      loaded = concatMap load modules;

      declare =
        path: declarations:
        if any (isOf "option") declarations then
          if length declarations == 1 then
            head declarations
          else
            throw "The option `${show path}' is declared twice."
        else
          mapAttrs (name: declare (path ++ [ name ])) (gather declarations);
      options = declare prefix (map (module: module.options) loaded);

      value =
        path: declared: definitions:
        if isOf "option" declared then
          settle declared.type path (
            concatMap (collect 100) definitions
            ++ (
              if declared ? default then
                [
                  {
                    priority = 1500;
                    value = declared.default;
                  }
                ]
              else
                [ ]
            )
          )
        else
          let
            given = gather (concatMap push definitions);
            unknown = filter (name: !declared ? ${name}) (attrNames given);
          in
          if unknown != [ ] then
            throw "The option `${show (path ++ [ (head unknown) ])}' does not exist."
          else
            mapAttrs (name: inner: value (path ++ [ name ]) inner (given.${name} or [ ])) declared;
      config = value prefix options (map (module: module.config) loaded);
    in
    {
      inherit config options;
    };

  # A type whose definitions have to agree.
  simple = name: check: {
    inherit name check;
    merge =
      path: values:
      if all (value: value == head values) values then
        head values
      else
        throw "The option `${show path}' has conflicting definition values.";
  };

  types = rec {
    unspecified = simple "unspecified" (_: true);
    bool = simple "boolean" builtins.isBool;
    int = simple "signed integer" builtins.isInt;
    float = simple "floating point number" builtins.isFloat;
    str = simple "string" isString;
    path = simple "absolute path" (value: isPath value || isString value || isAttrs value);
    package = simple "package" (value: isPath value || isString value || isAttrs value);
    port = simple "16 bit unsigned integer" (
      value: builtins.isInt value && value >= 0 && value < 65536
    );
    enum = values: simple "one of ${builtins.toJSON values}" (value: elem value values);
    nullOr = inner: either (simple "null" (value: value == null)) inner;
    either = one: other: {
      name = "${one.name} or ${other.name}";
      check = value: one.check value || other.check value;
      merge = path: values: (if all one.check values then one else other).merge path values;
    };
    oneOf = inner: foldl' either (head inner) (tail inner);
    listOf = inner: {
      name = "list of ${inner.name}";
      check = value: isList value && all inner.check value;
      merge = _: concatLists;
    };
    attrsOf = inner: {
      name = "attribute set of ${inner.name}";
      check = isAttrs;
      merge =
        path: values:
        let
          definitions = mapAttrs (_: concatMap (collect 100)) (gather values);
          present = lib.filterAttrs (_: some: some != [ ]) definitions;
        in
        mapAttrs (name: settle inner (path ++ [ name ])) present;
    };
    attrs = attrsOf unspecified;
    submodule = module: {
      name = "submodule";
      check = value: isAttrs value || isFunction value;
      merge =
        path: values:
        (evaluate path (
          [ module ] ++ map (value: if isFunction value then value else { config = value; }) values
        ) { }).config;
    };
  };

  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };

  lib = {
    inherit
      all
      concatMap
      elem
      filter
      head
      listToAttrs
      mapAttrs
      mkIf
      types
      ;
    evalModules = { modules, specialArgs }: evaluate [ ] modules specialArgs;
    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      what:
      lib.mkOption {
        type = types.bool;
        default = false;
        description = "Whether to enable ${what}.";
      };
    mkMerge = contents: {
      _type = "merge";
      inherit contents;
    };
    mkOverride = priority: content: {
      _type = "override";
      inherit priority content;
    };
    mkForce = lib.mkOverride 50;
    mkDefault = lib.mkOverride 1000;

    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    optionalAttrs = condition: value: if condition then value else { };
    filterAttrs =
      keep: set:
      listToAttrs (
        map (name: lib.nameValuePair name set.${name}) (
          filter (name: keep name set.${name}) (attrNames set)
        )
      );
    mapAttrsToList = make: set: attrValues (mapAttrs make set);
    nameValuePair = name: value: { inherit name value; };
    intersectLists = one: filter (value: elem value one);
    last = list: elemAt list (length list - 1);
    range =
      first: final: genList (number: first + number) (if final < first then 0 else final - first + 1);
    splitString =
      separator: text: filter isString (split (builtins.replaceStrings [ "." ] [ "[.]" ] separator) text);
    toInt = builtins.fromJSON;
    hasSuffix =
      suffix: text:
      let
        start = stringLength text - stringLength suffix;
      in
      start >= 0 && substring start (-1) text == suffix;
    removePrefix =
      prefix: text:
      if substring 0 (stringLength prefix) text == prefix then
        substring (stringLength prefix) (-1) text
      else
        text;
    removeSuffix =
      suffix: text:
      if lib.hasSuffix suffix text then
        substring 0 (stringLength text - stringLength suffix) text
      else
        text;
    toUpper = builtins.replaceStrings (split' "abcdefghijklmnopqrstuvwxyz") (
      split' "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    );
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    hasInfix = words: text: builtins.replaceStrings [ words ] [ "" ] text != text;
    versionOlder = one: other: builtins.compareVersions other one == 1;
    trivial.release = "26.05";
  };
in
lib
